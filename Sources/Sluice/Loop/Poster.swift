internal import CSluice
private import Synchronization

extension EventLoop {
    /// Posts words to a loop and wakes it, from any thread. It may outlive the loop.
    ///
    /// ```swift
    /// let poster = loop.poster
    /// Task.detached { try poster.post(42) }    // comes as .posted(42)
    /// ```
    public final class Poster: Sendable {
        private let handle: Mutex<Handle>

        // Sendable, because all that is done with the pointer is sluice_post and sluice_wake, which
        // any thread may call while the loop lives; and the loop takes the pointer
        // away, under the same lock, before it goes.
        @safe
        private struct Handle: ~Copyable, @unchecked Sendable {
            var loop: OpaquePointer?
        }

        init(_ loop: OpaquePointer) {
            unsafe handle = Mutex(Handle(loop: loop))
        }

        /// Wakes the loop, which gives ``Event/posted(_:)``: once for each post, and in order for
        /// those of one thread. What was written before is visible to who handles the event.
        ///
        /// - Complexity: O(1). Any thread.
        /// - Throws: ``SluiceError/Code/full`` where too many wait to be pulled,
        ///   ``SluiceError/Code/outOfMemory``, and ``SluiceError/Code/stale`` where the loop is
        ///   gone.
        public func post(_ word: UInt64) throws(SluiceError) {
            let code = handle.withLock { handle in
                guard let loop = unsafe handle.loop else { return SLUICE_ESTALE.rawValue }
                return unsafe sluice_post(loop, word)
            }
            guard code >= 0 else { throw SluiceError(code, "post to loop") }
        }

        /// Ends the pull that is under way, or else the next: ``EventLoop/next(timeout:)`` gives
        /// false, and ``EventLoop/run(_:)`` returns. Events that are there are pulled before that.
        /// Calls made before that pull returns count as one. It does nothing where the loop is gone.
        /// What was written before is visible to the loop's thread then.
        ///
        /// - Complexity: O(1). Any thread, but not in a signal handler, since it takes a lock.
        public func wake() {
            handle.withLock { handle in
                if let loop = unsafe handle.loop { _ = unsafe sluice_wake(loop) }
            }
        }

        /// Called by the loop as it ends.
        func retire() {
            handle.withLock { handle in unsafe handle.loop = nil }
        }
    }
}
