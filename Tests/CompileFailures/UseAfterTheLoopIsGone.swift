// expect: overlapping accesses to 'loop', but deinitialization requires exclusive access
import Sluice

func end(_ loop: consuming EventLoop) {}

func useAfterTheLoopIsGone() throws {
    var loop = try EventLoop()
    _ = try loop.next()
    let event = loop.event
    end(loop)
    if case .data(_, let bytes) = event { print(bytes.count) }
}
