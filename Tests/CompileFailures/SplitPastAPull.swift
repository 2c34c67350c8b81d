// expect: overlapping accesses to 'loop', but modification requires exclusive access
import Sluice

func f() throws {
    var loop = try EventLoop()
    while try loop.next() {
        guard case .data(_, let bytes) = loop.event else { continue }
        var words = bytes.split(separator: 32)
        _ = try loop.next()
        print(words.next() == nil)
    }
}
