// expect: 'poller' used after consume
import Sluice

func end(_ poller: consuming Poller) {}

func useAfterThePollerIsGone() throws {
    let poller = try Poller()
    end(poller)
    print(poller.backend)
}
