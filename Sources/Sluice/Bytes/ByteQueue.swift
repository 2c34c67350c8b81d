internal import CSluice

/// Bytes in order, for what a program gathers, holds back or passes on. They are appended at the
/// end, read where they lie, taken from the beginning, and moved from queue to queue without a
/// copy. They lie in pieces of 4 KiB.
///
/// ```swift
/// var queue = try ByteQueue()
/// try queue.append("hello, ")
/// try queue.append("world")
/// print(queue.firstPiece.count)    // 12
/// try queue.removeFirst(7)
/// ```
///
/// A queue belongs to one thread at a time. It is noncopyable, so the compiler makes sure of that.
/// Below, *n* is the number of pieces that a call fills, shows or takes.
@safe
public struct ByteQueue: ~Copyable {
    private let handle: OpaquePointer

    /// Makes an empty queue. `limit` is the most memory, in bytes, that its pieces may take, in
    /// whole pieces and one at least. `nil` is no limit.
    ///
    /// - Throws: ``SluiceError/Code/outOfMemory``, ``SluiceError/Code/badOption`` for a limit under
    ///   1.
    public init(limit: Int? = nil) throws(SluiceError) {
        var made: OpaquePointer?
        let result = unsafe sluice_queue_init(&made, try positive(limit, "limit"))
        guard let made = unsafe made else { throw SluiceError(result, "make byte queue") }
        unsafe handle = made
    }

    deinit {
        unsafe sluice_queue_destroy(handle)
    }

    /// How many bytes there are.
    ///
    /// - Complexity: O(1).
    public var count: Int {
        unsafe sluice_queue_length(handle)
    }

    /// Whether there are no bytes.
    ///
    /// - Complexity: O(1).
    public var isEmpty: Bool { count == 0 }

    /// Appends a copy of the bytes, all or none.
    ///
    /// - Complexity: O(bytes).
    /// - Throws: ``SluiceError/Code/full``, ``SluiceError/Code/outOfMemory``.
    public mutating func append(_ bytes: Span<UInt8>) throws(SluiceError) {
        let code = unsafe bytes.withUnsafeBytes {
            unsafe sluice_queue_append(handle, $0.baseAddress, $0.count)
        }
        try check(code, "append to byte queue")
    }

    /// Appends a copy of the bytes, all or none.
    public mutating func append(_ bytes: [UInt8]) throws(SluiceError) {
        try append(bytes.span)
    }

    /// Appends a copy of a text as UTF-8, all or nothing.
    public mutating func append(_ text: String) throws(SluiceError) {
        try append(text.utf8Span.span)
    }

    /// Appends what `body` writes, without a copy. `body` gets room for at least `room` bytes. If
    /// it throws, nothing is appended.
    ///
    /// - Parameter room: 1 to 4,096.
    /// - Complexity: O(1), beside `body`.
    /// - Throws: ``SluiceError/Code/noCapacity`` for a `room` outside that range,
    ///   ``SluiceError/Code/full``, ``SluiceError/Code/outOfMemory``, and what `body` throws.
    public mutating func append(
        room: Int, _ body: (inout OutputRawSpan) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        var bytes: UnsafeMutableRawPointer?
        var available = 0
        let code = unsafe sluice_queue_reserve(handle, room, &bytes, &available)
        try check(code, "reserve \(room) bytes of byte queue")
        let buffer = unsafe UnsafeMutableRawBufferPointer(start: bytes, count: available)
        var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
        do {
            try body(&output)
        } catch {
            // This ends the program if the body has moved the room elsewhere, which the compiler
            // (6.3) allows.
            _ = unsafe output.finalize(for: buffer)
            _ = unsafe sluice_queue_commit(handle, 0)
            throw error
        }
        let written = unsafe output.finalize(for: buffer)
        try check(unsafe sluice_queue_commit(handle, written), "append to byte queue")
    }

    /// The first bytes, as many as lie together. It is empty if the queue is empty. The compiler
    /// makes sure that it is not kept past the next change of the queue.
    ///
    /// - Complexity: O(1).
    public var firstPiece: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            var slice = unsafe sluice_slice()
            guard unsafe sluice_queue_peek(handle, &slice, 1) == 1, let start = unsafe slice.bytes
            else { return Span() }
            let bytes = unsafe Span(
                _unsafeStart: start.assumingMemoryBound(to: UInt8.self), count: slice.length)
            return unsafe _overrideLifetime(bytes, borrowing: self)
        }
    }

    /// Calls `body` with each piece of the bytes, from the first on.
    ///
    /// - Complexity: O(*n*), without an allocation for up to 64 pieces (256 KiB).
    /// - Throws: what `body` throws.
    public func forEachPiece<Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Void
    ) throws(Failure) {
        var result: Result<Void, Failure> = .success(())
        unsafe withSlices { slices in
            do throws(Failure) {
                for index in slices.indices {
                    // A slice is never empty.
                    let slice = unsafe slices[index]
                    let start = unsafe slice.bytes!.assumingMemoryBound(to: UInt8.self)
                    try body(unsafe Span(_unsafeStart: start, count: slice.length))
                }
            } catch {
                result = .failure(error)
            }
        }
        try result.get()
    }

    /// Removes the first `count` bytes.
    ///
    /// - Complexity: O(*n*).
    /// - Throws: ``SluiceError/Code/noCapacity`` if there are fewer. None is removed then.
    public mutating func removeFirst(_ count: Int) throws(SluiceError) {
        let code = unsafe sluice_queue_consume(handle, count)
        try check(code, "remove \(count) bytes of byte queue")
    }

    /// Moves the first bytes of another queue to the end of this one, without copying whole pieces.
    /// It moves `most` bytes, or all if `most` is `nil` or there are no more.
    ///
    /// - Returns: how many were moved.
    /// - Complexity: O(1) for all, O(*n*) for a part.
    /// - Throws: ``SluiceError/Code/full``, ``SluiceError/Code/outOfMemory``. Nothing was moved
    ///   then.
    @discardableResult
    public mutating func append(
        moving other: inout ByteQueue, most: Int? = nil
    ) throws(SluiceError) -> Int {
        let moved = unsafe sluice_queue_move(handle, other.handle, max(0, most ?? .max))
        if moved < 0 { try check(CInt(moved), "move to byte queue") }
        return moved
    }

    /// Calls `body` with all pieces of the bytes.
    func withSlices<Result>(
        _ body: (UnsafeBufferPointer<sluice_slice>) -> Result
    ) -> Result {
        var capacity = 64
        while true {
            let result: Result? = unsafe withUnsafeTemporaryAllocation(
                of: sluice_slice.self, capacity: capacity
            ) { room in
                let peeked = unsafe sluice_queue_peek(handle, room.baseAddress, CInt(capacity))
                guard peeked < capacity else { return nil }
                return unsafe body(UnsafeBufferPointer(rebasing: room[..<Int(max(0, peeked))]))
            }
            if let result { return result }
            capacity *= 4
        }
    }

    private func check(
        _ code: CInt, _ operation: @autoclosure () -> String
    ) throws(SluiceError) {
        if code < 0 { throw SluiceError(code, operation()) }
    }
}
