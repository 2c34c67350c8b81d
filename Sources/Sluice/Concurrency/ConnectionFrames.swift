// Frames for structured concurrency. The rules are those of the pulled layer (Framing.swift),
// applied to what a connection has received. A frame is lent where it lies, as the bytes of
// `inbound` are. A frame that comes in parts is gathered, up to the limit of the framing.

extension Connection {
    /// What the peer sends, cut into frames.
    ///
    /// ```swift
    /// for try await message in connection.frames(by: .length(4)) {
    ///     try await connection.write(message)
    /// }
    /// ```
    ///
    /// A frame is lent until the next one, as the bytes of ``inbound`` are. When a loop over frames
    /// stops early, the bytes after the frame are left for the next read of any kind. So a head may
    /// be read as a frame, and its body by ``read(exactly:)``.
    ///
    /// Reading throws ``TooLong`` for a frame over its limit, ``SluiceError/Code/badFrame`` for a
    /// length that a frame cannot have, and ``UnexpectedEnd`` if the stream ends within a frame.
    /// All of these errors leave the received bytes for the next read.
    public func frames(by framing: Framing) -> Frames { Frames(connection: self, framing: framing) }

    /// What a connection's peer sends, cut into frames. See ``Connection/frames(by:)``.
    public struct Frames: AsyncSequence, Sendable {
        /// A frame, lent until the next one.
        public typealias Element = Bytes

        fileprivate let connection: Connection
        fileprivate let framing: Framing

        /// Begins to read.
        public func makeAsyncIterator() -> Iterator {
            Iterator(connection: connection, framing: framing)
        }

        /// Reads.
        public struct Iterator: AsyncIteratorProtocol {
            @usableFromInline let connection: Connection
            @usableFromInline let framing: Framing

            /// The next frame; `nil` at the end of the stream.
            @inlinable
            @inline(__always)
            public mutating func next() async throws -> Bytes? {
                // Most frames are there already. Then no call that could wait is made.
                if let frame = try connection.frameThatIsThere(framing) { return frame }
                return try await connection.frameThatComes(framing)
            }

            /// The next frame; `nil` at the end of the stream.
            @inlinable
            @inline(__always)
            public nonisolated(nonsending) mutating func next(
                isolation: (any Actor)?
            ) async throws -> Bytes? {
                if let frame = try connection.frameThatIsThere(framing) { return frame }
                return try await connection.frameThatComes(framing)
            }
        }
    }

    /// The next frame, if it is whole and the caller is on the loop's thread.
    @usableFromInline
    func frameThatIsThere(_ framing: Framing) throws -> Bytes? {
        guard core.isCurrent else { return nil }
        takeLent()
        return try take(framing, searched: 0, isLast: false).frame
    }

    @usableFromInline
    nonisolated(nonsending) func frameThatComes(_ framing: Framing) async throws -> Bytes? {
        guard core.isCurrent else { return try await loop.nextFrame(of: self, framing) }
        takeLent()
        var searched = 0
        var isLast = false
        while true {
            let (frame, needed) = try take(framing, searched: searched, isLast: isLast)
            if let frame { return frame }
            if isLast { return try frameEnds(needed) }
            unsafe searched = count
            do {
                if try await fillBehind() { continue }
            } catch let error as SluiceError where error.code == .wrongThread {
                return try await loop.nextFrame(of: self, framing)
            }
            // When a server shuts down, the end is not the peer's: half a line is not a line.
            if !has(Self.atEnd) { return try frameEnds(0) }
            isLast = true
        }
    }

    /// Lends the frame at the start of the bytes. If it is not whole, says how many bytes it takes,
    /// if that is known.
    @inline(__always)
    private func take(
        _ framing: Framing, searched: Int, isLast: Bool
    ) throws -> (frame: Bytes?, needed: Int) {
        let cut = unsafe framing.cut(
            Span(_unsafeElements: waiting), searched: searched, isLast: isLast)
        switch cut {
        case .frame(let skipped, let count, let whole):
            consume(skipped)
            unsafe lent = whole - skipped
            return (unsafe Bytes(self, bytes, count, reads.load(ordering: .relaxed)), 0)
        case .none(let needed): return (nil, needed)
        case .refused(.frameTooLong): throw TooLong(limit: framing.limit)
        case .refused(let reason):
            throw SluiceError(reason.rawValue, "cut frames of", .handle(.stream, id))
        }
    }

    /// The stream has ended, or goes no further, and there is no whole frame.
    private func frameEnds(_ needed: Int) throws -> Bytes? {
        if unsafe count == 0 { return nil }
        throw unsafe UnexpectedEnd(count: count, wanted: needed > 0 ? needed : nil)
    }
}

extension Loop {
    /// For callers that are not on its thread: a copy.
    fileprivate func nextFrame(
        of connection: Connection, _ framing: Framing
    ) async throws -> Bytes? {
        try await connection.frameThatComes(framing).map { Bytes($0.array) }
    }
}
