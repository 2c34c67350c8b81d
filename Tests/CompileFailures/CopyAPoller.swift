// expect: 'poller' is borrowed and cannot be consumed
import Sluice

func copyAPoller(_ poller: borrowing Poller) {
    let copy = poller
    print(copy.backend)
}
