// expect: a function cannot return a ~Escapable result
import Sluice

func f(_ loop: borrowing EventLoop, _ stream: StreamID, _ bytes: Span<UInt8>) -> Frames {
    loop.frames(of: stream, in: bytes, by: .lines())
}
