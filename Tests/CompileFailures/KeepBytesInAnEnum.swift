// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

enum Kept: ~Escapable { case nothing, bytes(Span<UInt8>) }
func f() throws {
    var loop = try EventLoop()
    var kept = Kept.nothing
    while try loop.next() {
        if case .bytes(let bytes) = kept { print(bytes.count) }
        if case .data(_, let bytes) = loop.event { kept = .bytes(bytes) }
    }
}
