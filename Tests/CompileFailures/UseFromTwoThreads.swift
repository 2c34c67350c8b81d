// expect: risks causing data races
import Sluice

final class Holder {
    var poller: Poller
    init() throws { poller = try Poller() }
}

func useFromTwoThreads() throws {
    let holder = try Holder()
    Task.detached { try holder.poller.wait() }
    try holder.poller.wait()
}
