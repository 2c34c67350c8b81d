// expect: type 'Span<UInt8>' does not conform to protocol 'Escapable'
import Sluice

func f(_ loop: borrowing EventLoop) {
    let table = PerStream<Span<UInt8>>(in: loop)
    if case .data(let stream, let bytes) = loop.event { table[stream] = bytes }
}
