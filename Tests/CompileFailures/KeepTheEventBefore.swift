// expect: overlapping accesses to 'loop', but modification requires exclusive access
import Sluice

func f() throws {
    var loop = try EventLoop()
    _ = try loop.next()
    var last = loop.event
    while try loop.next() {
        if case .data(let stream, let bytes) = last { loop.write(bytes, to: stream) }
        last = loop.event
    }
}
