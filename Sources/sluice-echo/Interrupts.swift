import Dispatch
import Glibc
import Sluice
import Synchronization

/// Counts SIGINT and SIGTERM, and wakes the poller for each.
final class Interrupts: Sendable {
    private let seen = Atomic(0)
    // Sendable: made here, and after that only kept until they end with this object.
    nonisolated(unsafe) private let sources: [any DispatchSourceSignal]

    init(waking waker: Poller.Waker) {
        unsafe sources = [SIGINT, SIGTERM].map { number in
            // What is the source's is no longer the system's, which would end the process.
            signal(number, SIG_IGN)
            return DispatchSource.makeSignalSource(signal: number)
        }
        let watched = DispatchSemaphore(value: 0)
        for source in unsafe sources {
            source.setRegistrationHandler { watched.signal() }
            source.setEventHandler { [weak self] in
                self?.seen.add(1, ordering: .sequentiallyConsistent)
                waker.wake()
            }
            source.activate()
        }
        // Until then a signal would go unseen.
        for _ in unsafe sources { watched.wait() }
    }

    /// How many there have been.
    var count: Int { seen.load(ordering: .sequentiallyConsistent) }
}
