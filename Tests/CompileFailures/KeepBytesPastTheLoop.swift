// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice

func keepBytes() throws {
    var kept = Span<UInt8>()
    do {
        var loop = try EventLoop()
        _ = try loop.next()
        if case .data(_, let bytes) = loop.event { kept = bytes }
    }
    print(kept.count)
}
