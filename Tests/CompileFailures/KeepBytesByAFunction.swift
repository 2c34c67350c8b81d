// expect: lifetime-dependent variable 'bytes' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept = Span<UInt8>()
    func save(_ bytes: Span<UInt8>) { kept = bytes }
    while try loop.next() {
        print(kept.count)
        if case .data(_, let bytes) = loop.event { save(bytes) }
    }
}
