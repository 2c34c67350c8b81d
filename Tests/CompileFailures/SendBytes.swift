// expect: type 'Span<UInt8>' does not conform to protocol 'Escapable'
import Sluice

func f(_ loop: borrowing EventLoop) {
    let box = Mailbox<Span<UInt8>>(of: loop)
    if case .data(_, let bytes) = loop.event { box.send(bytes) }
}
