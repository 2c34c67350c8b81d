// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func save(_ bytes: Span<UInt8>, _ kept: inout Span<UInt8>) { kept = bytes }
func f() throws {
    var loop = try EventLoop()
    var kept = Span<UInt8>()
    while try loop.next() {
        print(kept.count)
        if case .data(_, let bytes) = loop.event { save(bytes, &kept) }
    }
}
