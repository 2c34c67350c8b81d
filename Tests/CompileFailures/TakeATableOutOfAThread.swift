// expect: 'inout sending' parameter '\$0' cannot be task-isolated at end of function
import Sluice
import Synchronization

final class Box: Sendable { let table = Mutex<PerStream<Int>?>(nil) }
func f() throws {
    let box = Box()
    let thread = try LoopThread(EventLoop()) { loop in
        let table = PerStream<Int>(in: loop)
        box.table.withLock { $0 = table }
        _ = try loop.next()
    }
    try thread.join()
}
