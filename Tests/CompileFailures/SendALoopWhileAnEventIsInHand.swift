// expect: overlapping accesses to 'loop', but deinitialization requires exclusive access
import Sluice

func f() throws {
    var loop = try EventLoop()
    guard try loop.next(), case .data(_, let bytes) = loop.event else { return }
    let thread = try LoopThread(loop) { loop in _ = try loop.next() }
    print(bytes.count)
    try thread.join()
}
