// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept: Frames? = nil
    while try loop.next() {
        while let line = kept?.next() { print(line.count) }
        if case .data(let stream, let bytes) = loop.event {
            kept = loop.frames(of: stream, in: bytes, by: .lines())
        }
    }
}
