internal import CSluice
private import Synchronization

extension Poller {
    /// Ends a poller's wait from any thread. It may outlive the poller, and then does nothing.
    public final class Waker: Sendable {
        private let handle: Mutex<Handle>

        // Sendable, because all that is done with the pointer is sluice_poller_wake, which any
        // thread may call while the poller lives; and the poller takes the pointer away, under the
        // same lock, before it goes.
        @safe
        private struct Handle: ~Copyable, @unchecked Sendable {
            var poller: OpaquePointer?
        }

        init(_ poller: OpaquePointer) {
            unsafe handle = Mutex(Handle(poller: poller))
        }

        /// Makes the wait that is under way return, or else the next one. Calls made before that
        /// wait returns count as one.
        ///
        /// - Complexity: O(1).
        public func wake() {
            handle.withLock { handle in
                if let poller = unsafe handle.poller {
                    _ = unsafe sluice_poller_wake(poller)
                }
            }
        }

        /// Called by the poller as it ends.
        func retire() {
            handle.withLock { handle in unsafe handle.poller = nil }
        }
    }
}
