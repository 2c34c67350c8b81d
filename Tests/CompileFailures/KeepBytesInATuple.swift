// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept = (0, Span<UInt8>())
    while try loop.next() {
        print(kept.1.count)
        if case .data(_, let bytes) = loop.event { kept.1 = bytes }
    }
}
