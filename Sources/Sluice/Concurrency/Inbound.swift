public import Synchronization

/// The bytes of one receive, lent until the next read of their connection. Using them later stops
/// the program with a message. To keep bytes, copy them: `Array(bytes.span)`, or ``array``.
///
/// Off the loop's thread the bytes are copied when they are used, for example in a closure of `map`
/// that runs elsewhere.
@safe
public struct Bytes: @unchecked Sendable {
    // Sendable: each use checks on which thread it is, and a copy never changes.

    /// The connection that lends the bytes, or a copy of what was read off the loop's thread. One
    /// reference serves for both, because each reference is counted with every read.
    @usableFromInline let owner: AnyObject
    @usableFromInline let isLent: Bool
    @usableFromInline let read: UInt32
    @usableFromInline let start: UnsafePointer<UInt8>?
    /// How many bytes there are. Bytes that were read are at least 1.
    public let count: Int

    @usableFromInline
    final class Copy: Sendable {
        let bytes: [UInt8]
        init(_ bytes: [UInt8]) { self.bytes = bytes }
    }

    @inlinable
    @inline(__always)
    init(_ owner: Connection, _ start: UnsafePointer<UInt8>?, _ count: Int, _ read: UInt32) {
        self.owner = owner
        isLent = true
        self.read = read
        unsafe self.start = start
        self.count = count
    }

    /// Makes bytes from an array, for example in a test.
    public init(_ bytes: [UInt8]) {
        let copy = Copy(bytes)
        owner = copy
        isLent = false
        read = 0
        // The array's own memory, which stays as long as the copy.
        unsafe start = copy.bytes.withUnsafeBufferPointer { $0.baseAddress }
        count = bytes.count
    }

    /// The bytes. Taking the span checks whether they are still there. Take it again after a read.
    public var span: Span<UInt8> {
        @inlinable
        @inline(__always)
        @_lifetime(borrow self)
        _read {
            // A coroutine, which keeps a copy as long as the span is in use. Decided against:
            // checking again when the span ends. A span ends with its variable, and not with its
            // last use (6.3), so correct programs would be stopped.
            if isElsewhere {
                let copy = copied()
                yield unsafe _overrideLifetime(copy.span, borrowing: self)
            } else {
                yield current
            }
        }
    }

    /// Whether a connection lends the bytes, and the caller is not on the thread of its loop.
    @inlinable
    @inline(__always)
    var isElsewhere: Bool {
        unsafe isLent && !unsafeDowncast(owner, to: Connection.self).core.isCurrent
    }

    /// The bytes, for a caller on the loop's thread that is done with them before it waits.
    @inlinable
    var current: Span<UInt8> {
        @inline(__always)
        @_lifetime(borrow self)
        get {
            var start = unsafe start
            if isLent {
                let lender = unsafe unsafeDowncast(owner, to: Connection.self)
                require(lender.reads.load(ordering: .relaxed) == read, Self.areGone)
                // Where the bytes are now: after their event they may have been moved.
                unsafe start = lender.bytes
            }
            let span = unsafe Span(_unsafeElements: UnsafeBufferPointer(start: start, count: count))
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// A copy, made off the loop's thread. `Core.moves` says what the loop may do meanwhile.
    @usableFromInline
    @inline(never)
    func copied() -> [UInt8] {
        let lender = unsafe unsafeDowncast(owner, to: Connection.self)
        let bytes = lender.core.moves.withLock { _ in
            require(lender.reads.load(ordering: .acquiring) == read, Self.areGone)
            return unsafe Array(UnsafeBufferPointer(start: lender.bytes, count: count))
        }
        atomicMemoryFence(ordering: .acquiring)
        require(
            lender.reads.load(ordering: .relaxed) == read,
            "these bytes were in use while their connection was read from; copy what is to stay")
        return bytes
    }

    @usableFromInline static var areGone: String {
        "these bytes went with the next read of their connection; copy what is to stay"
    }

    /// A copy, which may be kept.
    public var array: [UInt8] { isElsewhere ? copied() : Array(current) }
}

extension Bytes: CustomStringConvertible {
    /// The bytes as text. What is not UTF-8 is replaced.
    public var description: String { String(decoding: span, as: UTF8.self) }
}

extension Connection {
    /// The next bytes, as many as are there; `nil` at the end of the stream. They are lent until the
    /// next read: see ``Bytes``.
    ///
    /// - Throws: ``SluiceError``, ``TimedOut``, `CancellationError`.
    @inlinable
    @inline(__always)
    public nonisolated(nonsending) func next() async throws -> Bytes? {
        // One call for everything that is not the short way. This function is copied into its
        // callers, and code that does not run there is in the way of code that does.
        guard core.isCurrent else { return try await nextSlowly() }
        takeLent()
        if unsafe count == 0 {
            if unsafe obstacles != 0 || !isHome { return try await nextSlowly() }
            let isGeneric = unsafe core.isGenericNow
            await core.park(self)
            if isGeneric && !core.isCurrent { return try await nextSlowly() }
            if unsafe count == 0 {
                _ = try finished()
                return nil
            }
        }
        return lendAll()
    }

    /// Lends all bytes that are there.
    @inlinable
    @inline(__always)
    func lendAll() -> Bytes {
        unsafe lent = count
        return unsafe Bytes(self, bytes, count, reads.load(ordering: .relaxed))
    }

    @usableFromInline
    @inline(never)
    nonisolated(nonsending) func nextSlowly() async throws -> Bytes? {
        guard core.isCurrent else { return try await nextElsewhere() }
        takeLent()
        do {
            if unsafe count == 0 { guard try await fill() else { return nil } }
        } catch let error as SluiceError where error.code == .wrongThread {
            return try await nextElsewhere()
        }
        return lendAll()
    }

    /// Off the loop's thread, the bytes that were read are copied.
    private nonisolated(nonsending) func nextElsewhere() async throws -> Bytes? {
        let bytes = try await read(atMost: 64 << 10)
        return bytes.isEmpty ? nil : Bytes(bytes)
    }

    /// What the peer sends, as it comes.
    ///
    /// ```swift
    /// for try await bytes in connection.inbound { try await connection.write(bytes) }
    /// ```
    ///
    /// Its elements are lent until the next one. To keep several of them, use ``Inbound/copies``,
    /// which gives arrays.
    @inlinable
    public var inbound: Inbound { Inbound(self) }
}

/// What a connection's peer sends, as it comes. See ``Connection/inbound``.
public struct Inbound: AsyncSequence, Sendable {
    /// Bytes, lent until the next element.
    public typealias Element = Bytes

    @usableFromInline let connection: Connection

    @inlinable
    init(_ connection: Connection) {
        self.connection = connection
    }

    /// Begins to read.
    @inlinable
    public func makeAsyncIterator() -> Iterator { Iterator(connection) }

    /// Reads.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let connection: Connection

        @inlinable
        init(_ connection: Connection) {
            self.connection = connection
        }

        /// The next bytes; `nil` at the end of the stream.
        @inlinable
        @inline(__always)
        public mutating func next() async throws -> Bytes? {
            try await connection.next()
        }

        // Without `isolated`, which costs two hops. Nonsending code stays with its caller anyway.
        /// The next bytes; `nil` at the end of the stream.
        @inlinable
        @inline(__always)
        public nonisolated(nonsending) mutating func next(
            isolation: (any Actor)?
        ) async throws -> Bytes? {
            try await connection.next()
        }
    }

    /// The same bytes as arrays, which may be kept. Use them for algorithms that look at several
    /// elements at once, such as `adjacentPairs()`. Algorithms that look at one element, such as
    /// `map`, do not need them, wherever they run.
    public var copies: Copies { Copies(connection: connection) }

    /// What a connection's peer sends, as it comes, in arrays.
    public struct Copies: AsyncSequence, Sendable {
        /// The bytes of one receive.
        public typealias Element = [UInt8]

        fileprivate let connection: Connection

        /// Begins to read.
        public func makeAsyncIterator() -> Iterator { Iterator(connection: connection) }

        /// Reads.
        public struct Iterator: AsyncIteratorProtocol {
            fileprivate let connection: Connection

            /// The next bytes; `nil` at the end of the stream.
            public mutating func next() async throws -> [UInt8]? {
                try await connection.next()?.array
            }

            /// The next bytes; `nil` at the end of the stream.
            public nonisolated(nonsending) mutating func next(
                isolation: (any Actor)?
            ) async throws -> [UInt8]? {
                try await connection.next()?.array
            }
        }
    }
}
