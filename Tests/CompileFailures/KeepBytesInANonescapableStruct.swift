// expect: the 'get' accessor cannot return a ~Escapable result
import Sluice

struct Keeper: ~Escapable { var bytes: Span<UInt8> }
func f() throws {
    var loop = try EventLoop()
    var keeper = Keeper(bytes: Span())
    while try loop.next() {
        print(keeper.bytes.count)
        if case .data(_, let bytes) = loop.event { keeper.bytes = bytes }
    }
}
