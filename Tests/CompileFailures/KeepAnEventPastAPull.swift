// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice

func keepAnEvent() throws {
    var loop = try EventLoop()
    var kept: Event? = nil
    while try loop.next() {
        if case .data(let stream, let bytes) = kept { loop.write(bytes, to: stream) }
        kept = loop.event
    }
}
