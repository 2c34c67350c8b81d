// expect: lifetime-dependent variable 'bytes' escapes its scope
import Sluice

final class Holder {
    var loop: EventLoop
    init() throws { loop = try EventLoop() }
    func serve() throws {
        if case .data(_, let bytes) = loop.event {
            try pull()
            print(bytes.count)
        }
    }
    func pull() throws { _ = try loop.next() }
}
