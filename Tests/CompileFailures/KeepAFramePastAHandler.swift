// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept = Span<UInt8>()
    try loop.run { event, loop in
        guard case .data(let stream, let bytes) = event else { return }
        var lines = loop.frames(of: stream, in: bytes, by: .lines())
        if let line = lines.next() { kept = line }
    }
    print(kept.count)
}
