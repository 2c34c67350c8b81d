internal import CSluice
private import Glibc
private import Synchronization

extension Poller {
    /// Ends a poller's wait from any thread. It may outlive the poller, and then does nothing.
    @safe
    public final class Waker: @unchecked Sendable {
        // Sendable, because the pointer is used only for sluice_poller_wake, which any thread may
        // call while the poller lives. The threads in such a call are counted, and the poller waits
        // for them before it ends. It is a count and not a lock: if another thread held a lock at a
        // fork, the lock would stay locked in the child.
        private static let gone: UInt64 = 1 << 63

        private let poller: OpaquePointer
        /// How many threads use the pointer, and the flag `gone`.
        private let users = Atomic<UInt64>(0)

        init(_ poller: OpaquePointer) {
            unsafe self.poller = poller
        }

        /// Makes the wait that is under way return, or else the next one. Calls made before that
        /// wait returns count as one.
        ///
        /// - Complexity: O(1).
        public func wake() {
            let count = users.add(1, ordering: .acquiring).newValue
            defer { users.subtract(1, ordering: .releasing) }
            if count < Self.gone { _ = unsafe sluice_poller_wake(poller) }
        }

        /// Called by the poller as it ends.
        func retire() {
            users.bitwiseOr(Self.gone, ordering: .relaxed)
            while users.load(ordering: .acquiring) != Self.gone { sched_yield() }
        }

        /// Called in the child of a fork, which has no other thread.
        func afterFork() {
            users.store(0, ordering: .relaxed)
        }
    }
}
