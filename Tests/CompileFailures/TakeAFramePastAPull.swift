// expect: overlapping accesses to 'loop', but modification requires exclusive access
import Sluice

func f() throws {
    var loop = try EventLoop()
    while try loop.next() {
        guard case .data(let stream, let bytes) = loop.event else { continue }
        var lines = loop.frames(of: stream, in: bytes, by: .lines())
        _ = try loop.next()
        while let line = lines.next() { print(line.count) }
    }
}
