// expect: a function cannot return a ~Escapable result
import Sluice

func f(_ loop: borrowing EventLoop) -> Result<Span<UInt8>, SluiceError> {
    if case .data(_, let bytes) = loop.event { .success(bytes) } else { .success(Span()) }
}
