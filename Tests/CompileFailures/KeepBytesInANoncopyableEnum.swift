// expect: lifetime-dependent variable 'bytes' escapes its scope
import Sluice

enum Kept: ~Copyable, ~Escapable { case nothing, bytes(Span<UInt8>) }
func f() throws {
    var loop = try EventLoop()
    var kept = Kept.nothing
    while try loop.next() {
        switch kept {
        case .nothing: break;
        case .bytes(let bytes): print(bytes.count)
        }
        if case .data(_, let bytes) = loop.event { kept = .bytes(bytes) }
    }
}
