internal import CSluice
private import Glibc
private import Synchronization

extension EventLoop {
    /// Posts words to a loop and wakes it, from any thread. It may outlive the loop. For more than
    /// a word, use a ``Mailbox``.
    ///
    /// ```swift
    /// let poster = loop.poster
    /// Task.detached { try poster.post(42) }    // comes as .posted(42)
    /// ```
    @safe
    public final class Poster: @unchecked Sendable {
        // Sendable, because the pointer is used only for sluice_post and sluice_wake, which any
        // thread may call while the loop lives. The threads in such a call are counted, and the
        // loop waits for them before it ends. It is a count and not a lock: if another thread held
        // a lock at a fork, the lock would stay locked in the child.
        private static let gone: UInt64 = 1 << 63

        private let loop: OpaquePointer
        /// How many threads use the pointer, and the flag `gone`.
        private let users = Atomic<UInt64>(0)
        /// Whether a caller has woken the loop, and the loop has not reported it yet.
        private let isWoken = Atomic(false)
        /// Whether a mailbox has woken the loop because there was no room for its word.
        private let isRung = Atomic(false)

        init(_ loop: OpaquePointer) {
            unsafe self.loop = loop
        }

        /// Posts a word and wakes the loop, which gives ``Event/posted(_:)`` once for each post.
        /// Posts of one thread come in order. Whoever handles the event sees what this thread has
        /// written to memory before.
        ///
        /// - Complexity: O(1). Any thread.
        /// - Throws: ``SluiceError/Code/full`` if too many posts wait to be pulled,
        ///   ``SluiceError/Code/outOfMemory``, and ``SluiceError/Code/stale`` if the loop has
        ///   ended.
        public func post(_ word: UInt64) throws(SluiceError) {
            let code = unsafe use { unsafe sluice_post($0, word) }
            guard code >= 0 else { throw SluiceError(code, "post to loop") }
        }

        /// Ends the pull that is under way, or else the next one: ``EventLoop/next(timeout:)``
        /// returns false, and ``EventLoop/run(_:)-((Event,EventLoop)->Void)`` returns. Events that
        /// are there are pulled before that. Calls made before that pull returns count as one. The
        /// loop's thread then sees what this thread has written to memory before. If the loop has
        /// ended, nothing happens.
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

        /// Whether a mailbox has woken the loop since this was last called.
        func takeRing() -> Bool {
            isRung.load(ordering: .relaxed) && isRung.exchange(false, ordering: .acquiring)
        }

        /// Whether a caller has woken the loop since this was last called.
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
