// expect: a function cannot return a ~Escapable result
import Sluice

func same(_ bytes: Span<UInt8>) -> Span<UInt8> { bytes }
func f() throws {
    var loop = try EventLoop()
    var kept = Span<UInt8>()
    while try loop.next() {
        print(kept.count)
        if case .data(_, let bytes) = loop.event { kept = same(bytes) }
    }
}
