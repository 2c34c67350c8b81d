// expect: overlapping accesses to 'self', but modification requires exclusive access
import Sluice

struct Server: ~Copyable {
    var loop: EventLoop
    var count = 0
    mutating func handle(_ event: Event) { count += 1 }
    mutating func serve() throws {
        while try loop.next() { handle(loop.event) }
    }
}
