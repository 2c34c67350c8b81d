// expect: type 'Counter' does not conform to the 'Sendable' protocol
import Sluice

final class Counter { var count = 0 }
func f(_ loop: borrowing EventLoop) { let box = Mailbox<Counter>(of: loop); box.send(Counter()) }
