// expect: overlapping accesses to 'loop'
import Sluice

func pullWhileAnEventIsInHand() throws {
    var loop = try EventLoop()
    while try loop.next() {
        if case .data(_, let bytes) = loop.event {
            _ = try loop.next()
            print(bytes.count)
        }
    }
}
