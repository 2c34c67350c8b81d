internal import CSluice
private import Glibc
private import Synchronization

extension EventLoop {
    /// Posts words to a loop and wakes it, from any thread. It may outlive the loop. What is more than
    /// a word goes by a ``Mailbox``.
    ///
    /// ```swift
    /// let poster = loop.poster
    /// Task.detached { try poster.post(42) }    // comes as .posted(42)
    /// ```
    @safe
    public final class Poster: @unchecked Sendable {
        // Sendable, because all that is done with the pointer is sluice_post and sluice_wake, which
        // any thread may call while the loop lives. How many are about to is counted, and the loop
        // waits for them before it goes. A count and no lock: what another thread had locked would
        // stay locked in the child of a fork.
        private static let gone: UInt64 = 1 << 63

        private let loop: OpaquePointer
        /// How many threads use the pointer, and `gone`.
        private let users = Atomic<UInt64>(0)
        /// Whether a caller has woken the loop, which has not told it yet.
        private let isWoken = Atomic(false)
        /// Whether a mailbox has, for want of room for its word.
        private let isRung = Atomic(false)

        init(_ loop: OpaquePointer) {
            unsafe self.loop = loop
        }

        /// Wakes the loop, which gives ``Event/posted(_:)``: once for each post, and in order for
        /// those of one thread. What was written before is visible to who handles the event.
        ///
        /// - Complexity: O(1). Any thread.
        /// - Throws: ``SluiceError/Code/full`` where too many wait to be pulled,
        ///   ``SluiceError/Code/outOfMemory``, and ``SluiceError/Code/stale`` where the loop is
        ///   gone.
        public func post(_ word: UInt64) throws(SluiceError) {
            let code = unsafe use { unsafe sluice_post($0, word) }
            guard code >= 0 else { throw SluiceError(code, "post to loop") }
        }

        /// Ends the pull that is under way, or else the next: ``EventLoop/next(timeout:)`` gives
        /// false, and ``EventLoop/run(_:)-((Event,EventLoop)->Void)`` returns. Events that are there are
        /// pulled before that.
        /// Calls made before that pull returns count as one. It does nothing where the loop is gone.
        /// What was written before is visible to the loop's thread then.
        ///
        /// - Complexity: O(1). Any thread.
        public func wake() {
            isWoken.store(true, ordering: .releasing)
            _ = unsafe use { unsafe sluice_wake($0) }
        }

        /// Wakes the loop for a mailbox that has a word for it.
        func ring() {
            isRung.store(true, ordering: .releasing)
            _ = unsafe use { unsafe sluice_wake($0) }
        }

        /// Whether one has, since this was asked last.
        func takeRing() -> Bool {
            isRung.load(ordering: .relaxed) && isRung.exchange(false, ordering: .acquiring)
        }

        /// Whether a caller has woken the loop, since this was asked last.
        func takeWake() -> Bool {
            isWoken.exchange(false, ordering: .acquiring)
        }

        private func use(_ body: (OpaquePointer) -> CInt) -> CInt {
            let count = users.add(1, ordering: .acquiring).newValue
            defer { users.subtract(1, ordering: .releasing) }
            return count >= Self.gone ? SLUICE_ESTALE.rawValue : unsafe body(loop)
        }

        /// Whether the loop has ended.
        var isRetired: Bool { users.load(ordering: .relaxed) >= Self.gone }

        /// Called by the loop as it ends.
        func retire() {
            users.bitwiseOr(Self.gone, ordering: .relaxed)
            while users.load(ordering: .acquiring) != Self.gone { sched_yield() }
        }

        /// Called in the child of a fork, which has no other thread.
        func afterFork() {
            users.store(0, ordering: .relaxed)
            isRung.store(false, ordering: .relaxed)
        }
    }
}
