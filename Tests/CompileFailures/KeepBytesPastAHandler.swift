// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice

func keepBytes() throws {
    var loop = try EventLoop()
    var kept = Span<UInt8>()
    try loop.run { event, _ in
        if case .data(_, let bytes) = event { kept = bytes }
    }
    print(kept.count)
}
