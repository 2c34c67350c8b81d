// expect: overlapping accesses to 'loop', but modification requires exclusive access
import Sluice

func f() throws {
    var loop = try EventLoop()
    while try loop.next() {
        guard case .data(_, let bytes) = loop.event else { continue }
        let kept = bytes.trimmed
        _ = try loop.next()
        print(kept.count)
    }
}
