// expect: lifetime-dependent variable 'bytes' escapes its scope
import Sluice

func f(_ loop: borrowing EventLoop) -> () -> Int {
    guard case .data(_, let bytes) = loop.event else { return { 0 } }
    return { bytes.count }
}
