// expect: risks causing data races
import Sluice

final class Holder {
    var loop: EventLoop
    init() throws { loop = try EventLoop() }
}

func useFromTwoThreads() throws {
    let holder = try Holder()
    Task.detached { _ = try holder.loop.next() }
    _ = try holder.loop.next()
}
