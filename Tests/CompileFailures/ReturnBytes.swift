// expect: a function cannot return a ~Escapable result
import Sluice

func f(_ loop: borrowing EventLoop) -> Span<UInt8> {
    if case .data(_, let bytes) = loop.event { bytes } else { Span() }
}
