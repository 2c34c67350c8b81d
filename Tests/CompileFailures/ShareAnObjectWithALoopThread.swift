// expect: capture of 'counter' with non-Sendable type 'Counter' in a '@Sendable' closure
import Sluice

final class Counter { var count = 0 }
func f() throws {
    let counter = Counter()
    let thread = try LoopThread(EventLoop()) { loop in
        while try loop.next() { counter.count += 1 }
    }
    try thread.join()
}
