// expect: the 'get' accessor cannot return a ~Escapable result
import Sluice

private struct Kept: ~Copyable, ~Escapable {
    private let bytes: Span<UInt8>; init(_ b: Span<UInt8>) { bytes = b };
    func count() -> Int { bytes.count }
}
func f() throws {
    var loop = try EventLoop()
    var kept = Kept(Span())
    while try loop.next() {
        print(kept.count())
        if case .data(_, let bytes) = loop.event { kept = Kept(bytes) }
    }
}
