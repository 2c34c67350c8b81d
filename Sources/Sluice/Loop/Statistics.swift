internal import CSluice

extension EventLoop {
    /// What a loop has done since it was opened, and what it holds now.
    @safe
    public struct Statistics: Sendable {
        private let counted: sluice_statistics

        init(_ counted: sluice_statistics) {
            self.counted = counted
        }

        /// How often the loop has waited.
        public var turns: UInt64 { counted.turns }

        /// How many events of a kind were pulled.
        public func events(_ kind: Event.Kind) -> UInt64 {
            Self.element(Int(kind.rawValue), of: counted.events)
        }

        /// How many handles of a kind there are now.
        public func handles(_ kind: HandleKind) -> UInt64 {
            Self.element(Int(kind.rawValue), of: counted.handles)
        }

        /// How many bytes streams have received.
        public var bytesReceived: UInt64 { counted.bytes_received }

        /// How many bytes of its streams the kernel has taken.
        public var bytesSent: UInt64 { counted.bytes_sent }

        /// How many system calls were made to receive.
        public var receives: UInt64 { counted.receives }

        /// How many system calls were made to send.
        public var sends: UInt64 { counted.sends }

        /// How many system calls were made to accept.
        public var accepts: UInt64 { counted.accepts }

        /// How much memory queued bytes take now, in bytes.
        public var queueMemory: UInt64 { counted.queue_memory }

        /// The longest time between two waits: how long a handler has kept others waiting.
        public var longestGap: Duration { .nanoseconds(counted.longest_gap_ns) }

        private static func element<Tuple>(_ index: Int, of counts: Tuple) -> UInt64 {
            // C's array is imported as a tuple of UInt64.
            unsafe withUnsafeBytes(of: counts) { counts in
                let counts = unsafe counts.bindMemory(to: UInt64.self)
                return unsafe counts.indices.contains(index) ? counts[index] : 0
            }
        }
    }

    /// What the loop has done since it was opened, and what it holds now.
    ///
    /// - Complexity: O(1).
    public var statistics: Statistics {
        var counted = sluice_statistics()
        counted.size = MemoryLayout<sluice_statistics>.size
        let code = unsafe sluice_stats(handle, &counted)
        Self.heedThread(SluiceError.Code(rawValue: code))
        return Statistics(counted)
    }
}
