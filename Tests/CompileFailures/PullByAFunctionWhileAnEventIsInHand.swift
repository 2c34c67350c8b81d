// expect: overlapping accesses to 'loop', but modification requires exclusive access
import Sluice

func pull(_ loop: inout EventLoop) throws { _ = try loop.next() }
func f() throws {
    var loop = try EventLoop()
    guard try loop.next(), case .data(_, let bytes) = loop.event else { return }
    try pull(&loop)
    print(bytes.count)
}
