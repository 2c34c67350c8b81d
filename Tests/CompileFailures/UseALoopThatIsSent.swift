// expect: sending 'loop' risks causing data races
import Sluice

func f() throws {
    var loop = try EventLoop()
    let thread = try LoopThread(loop) { loop in _ = try loop.next() }
    _ = try loop.next()
    try thread.join()
}
