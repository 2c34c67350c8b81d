// expect: overlapping accesses to 'loop', but modification requires exclusive access
import Sluice

func f() throws {
    var loop = try EventLoop()
    let pull = { _ = try loop.next() }
    guard case .data(_, let bytes) = loop.event else { return }
    try pull()
    print(bytes.count)
}
