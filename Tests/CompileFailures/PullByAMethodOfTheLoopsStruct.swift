// expect: overlapping accesses to 'self', but modification requires exclusive access
import Sluice

struct Owner: ~Copyable {
    var loop: EventLoop
    mutating func tick() throws { _ = try loop.next() }
    mutating func serve() throws {
        while try loop.next() {
            if case .data(_, let bytes) = loop.event {
                try tick()
                print(bytes.count)
            }
        }
    }
}
