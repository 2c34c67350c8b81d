// expect: sending 'loop' risks causing data races
import Sluice

func f() throws {
    let loop = try EventLoop()
    let table = PerStream<Int>(in: loop)
    let thread = try LoopThread(loop) { loop in _ = try loop.next() }
    print(table.count)
    try thread.join()
}
