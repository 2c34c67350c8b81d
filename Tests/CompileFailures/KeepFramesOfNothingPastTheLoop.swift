// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f(_ stream: StreamID) throws {
    var kept: Frames? = nil
    do {
        let loop = try EventLoop()
        kept = loop.frames(of: stream, in: Span(), by: .lines())
    }
    print(kept?.next() == nil)
}
