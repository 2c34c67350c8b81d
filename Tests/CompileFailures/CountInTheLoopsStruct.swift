// expect: overlapping accesses to 'self.count', but modification requires exclusive access; consider copying to a local variable
import Sluice

struct Server: ~Copyable {
    var loop: EventLoop
    var count = 0
    mutating func serve() throws {
        while try loop.next() {
            if case .data(let stream, let bytes) = loop.event {
                count += bytes.count
                loop.write(bytes, to: stream)
            }
        }
    }
}
