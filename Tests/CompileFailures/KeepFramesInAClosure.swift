// expect: lifetime-dependent value escapes its scope
import Sluice

func f(_ loop: borrowing EventLoop) -> () -> Void {
    guard case .data(let stream, let bytes) = loop.event else { return {} }
    var lines = loop.frames(of: stream, in: bytes, by: .lines())
    return { _ = lines.next() }
}
