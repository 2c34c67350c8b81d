// expect: overlapping accesses to 'loop', but modification requires exclusive access
import Sluice

func f(_ loop: inout EventLoop, _ before: Span<UInt8>) throws {
    guard try loop.next() else { return print(before.count) }
    if case .data(_, let bytes) = loop.event { try f(&loop, bytes) }
}
