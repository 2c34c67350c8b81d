// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var outer = try EventLoop()
    var kept = Span<UInt8>()
    while try outer.next() {
        print(kept.count)
        var inner = try EventLoop()
        _ = try inner.next()
        if case .data(_, let bytes) = inner.event { kept = bytes }
    }
}
