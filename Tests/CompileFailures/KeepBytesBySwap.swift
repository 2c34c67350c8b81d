// expect: global function 'swap' requires that 'Span<UInt8>' conform to 'Escapable'
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept = Span<UInt8>()
    while try loop.next() {
        print(kept.count)
        if case .data(_, var bytes) = loop.event { swap(&kept, &bytes) }
    }
}
