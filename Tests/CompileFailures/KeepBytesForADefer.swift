// expect: overlapping accesses to 'loop', but modification requires exclusive access
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept = Span<UInt8>()
    defer { print(kept.count) }
    guard try loop.next(), case .data(_, let bytes) = loop.event else { return }
    kept = bytes
    _ = try loop.next()
}
