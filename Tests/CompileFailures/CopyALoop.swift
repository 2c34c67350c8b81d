// expect: 'loop' is borrowed and cannot be consumed
import Sluice

func copyALoop(_ loop: borrowing EventLoop) {
    let copy = loop
    print(copy.now)
}
