// expect: overlapping accesses to 'loop', but deinitialization requires exclusive access
import Sluice

func end(_ loop: consuming EventLoop) {}
func f() throws {
    var loop = try EventLoop()
    guard try loop.next(), case .data(let stream, let bytes) = loop.event else { return }
    var lines = loop.frames(of: stream, in: bytes, by: .lines())
    end(loop)
    print(lines.next() == nil)
}
