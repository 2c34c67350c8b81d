// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept: Span<UInt8>? = nil
    while try loop.next() {
        if let old = kept.take() { print(old.count) }
        if case .data(_, let bytes) = loop.event { kept = bytes }
    }
}
