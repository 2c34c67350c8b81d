// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice

func keepBytes() throws {
    var loop = try EventLoop()
    var kept = RawSpan()
    while try loop.next() {
        print(kept.byteCount)
        if case .data(_, let bytes) = loop.event { kept = bytes }
    }
}
