// expect: the 'get' accessor cannot return a ~Escapable result
import Sluice

struct Keeper: EventHandler {
    var kept = Span<UInt8>()
    mutating func handle(_ event: Event, in loop: borrowing EventLoop) {
        if case .data(_, let bytes) = event { kept = bytes }
    }
}
