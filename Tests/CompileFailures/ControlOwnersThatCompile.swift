// The control for a loop that stands within what it serves: what is not in its way compiles.
import Sluice

final class Server {
    var loop: EventLoop
    var count = 0

    init() throws { loop = try EventLoop() }

    func serve() throws {
        while try loop.next() {
            switch loop.event {
            case .data(let stream, let bytes):
                count += bytes.count
                answer(bytes, stream)
                loop.write(bytes, to: stream)
            default: break
            }
        }
    }

    func answer(_ bytes: Span<UInt8>, _ stream: StreamID) { loop.write(bytes, to: stream) }
}

struct Owner: ~Copyable {
    var loop: EventLoop
    var count = 0

    mutating func serve() throws { try loop.run { _, _ in count += 1 } }
}
