// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept = Span<UInt8>()
    while try loop.next() {
        print(kept.count)
        if case .data(let stream, let bytes) = loop.event {
            kept = loop.frames(of: stream, in: bytes, by: .lines()).rest
        }
    }
}
