// expect: overlapping accesses to 'loop', but modification requires exclusive access
import Sluice

func f() throws {
    var loop = try EventLoop()
    guard try loop.next(), case .data(_, let bytes) = loop.event else { return }
    loop = try EventLoop()
    print(bytes.count)
}
