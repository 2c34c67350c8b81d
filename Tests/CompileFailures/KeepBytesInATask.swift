// expect: lifetime-dependent variable 'bytes' escapes its scope
import Sluice

func f(_ loop: borrowing EventLoop) {
    if case .data(_, let bytes) = loop.event { Task { print(bytes.count) } }
}
