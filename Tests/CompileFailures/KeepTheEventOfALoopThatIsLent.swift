// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

struct H: EventHandler { mutating func handle(_ event: Event, in loop: borrowing EventLoop) {} }
func f() throws {
    var kept: Event? = nil
    try EventLoop.run { loop in
        kept = loop.event; return H()
    }
    print(kept?.kind as Any)
}
