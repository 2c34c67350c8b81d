// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept: Frames? = nil
    try loop.run { event, loop in
        guard case .data(let stream, let bytes) = event else { return }
        kept = loop.frames(of: stream, in: bytes, by: .lines())
    }
    print(kept?.next() == nil)
}
