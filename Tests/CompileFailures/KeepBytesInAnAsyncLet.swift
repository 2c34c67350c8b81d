// expect: lifetime-dependent variable 'bytes' escapes its scope
import Sluice

func f(_ loop: borrowing EventLoop) async {
    guard case .data(_, let bytes) = loop.event else { return }
    async let count = bytes.count
    print(await count)
}
