// expect: noncopyable 'loop' cannot be consumed when captured by an escaping closure or borrowed by a non-Escapable type
import Sluice

func end(_ loop: consuming EventLoop) {}
func f(_ stream: StreamID) throws {
    let loop = try EventLoop()
    var lines = loop.frames(of: stream, in: Span(), by: .lines())
    end(loop)
    print(lines.next() == nil)
}
