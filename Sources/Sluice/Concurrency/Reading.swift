// How a read waits. On the short way, no bytes are there, the loop receives, and the running task
// is known to be the connection's home. Then a wait is a hop. The bytes that come are lent out of
// the loop's buffer while the task runs within the event.
//
// If the task is busy elsewhere when the event is over, the bytes are kept where they lie, and the
// stream is paused. So at most one receive of a connection is in memory. What the peer goes on
// sending stays in the kernel, and in the end the peer has to wait. Bytes are never moved while
// they are lent.

internal import CSluice
public import Synchronization

extension Connection {
    // MARK: Waiting

    /// Waits until there are bytes, and returns true. Returns false at the end of the stream.
    @inlinable
    @inline(__always)
    nonisolated(nonsending) func fill() async throws -> Bool {
        if unsafe obstacles != 0 || !isHome { return try await fillSlowly() }
        let isGeneric = unsafe core.isGenericNow
        await core.park(self)
        if isGeneric && !core.isCurrent { throw Self.elsewhere }
        if unsafe count == 0 { return try finished() }
        return true
    }

    /// Thrown by a read that is on another thread after its wait. Callers that can go on by way of
    /// the loop catch this error. The bytes that came have been set aside.
    ///
    /// This happens within another actor that tasks of several threads use. Such an actor runs
    /// wherever the task is that keeps it going.
    @usableFromInline
    static var elsewhere: SluiceError {
        SluiceError(SLUICE_ETHREAD.rawValue, "go on reading")
    }

    @usableFromInline
    @inline(never)
    nonisolated(nonsending) func fillSlowly() async throws -> Bool {
        require(core.isCurrent, Self.onlyOnLoop)
        require(unsafe job == nil, "two tasks read from one connection; let one do it")
        let before = unsafe count
        let over =
            Self.isCancelled | Self.isReadCancelled | Self.isExpired | Self.atEnd | Self.isClosed
        if has(over) { return try finished() }
        if has(Self.isShuttingDown) && !isReadable { return false }
        if unsafe has(Self.hasMore) && count == 0 { dropMore() }
        if has(Self.isPaused) {
            unsafe obstacles &= ~Self.isPaused
            core.loop.resume(stream)
        }
        let limit = has(Self.isLimited) ? unsafe more?.readLimit : nil
        let alarm = try limit.map { try startLimit($0) }
        defer {
            if let alarm { core.perform { [core] in alarm.cancel(core) } }
        }
        if findHome(ofWrites: false) {
            await core.park(self)
            guard core.isCurrent else { throw Self.elsewhere }
        } else {
            let wasCancelled = await core.parkCancellably(self)
            guard core.isCurrent else { throw Self.elsewhere }
            if unsafe wasCancelled && count == before { throw CancellationError() }
        }
        if unsafe count > before { return true }
        if alarm?.hasFired == true { throw TimedOut() }
        return try finished()
    }

    /// Waits for more bytes behind those that are there. First it copies those to where more can
    /// follow.
    @inline(__always)
    nonisolated(nonsending) func fillBehind() async throws -> Bool {
        if unsafe count > 0 && more?.gathered.isEmpty != false {
            unsafe gather(UnsafeRawPointer(bytes.unsafelyUnwrapped), 0)
        }
        return try await fill()
    }

    func startLimit(_ limit: Duration) throws -> WaitLimit {
        let alarm = WaitLimit(self)
        try alarm.set(core, limit)
        return alarm
    }

    // MARK: Taking

    /// Notes that this many bytes have been taken.
    @inlinable
    @inline(__always)
    func consume(_ taken: Int) {
        unsafe count &-= taken
        unsafe bytes = bytes.unsafelyUnwrapped + taken
        if unsafe obstacles & (Self.hasMore | Self.isUntouched) != 0 { consumeSlowly(taken) }
    }

    @usableFromInline
    @inline(never)
    func consumeSlowly(_ taken: Int) {
        if taken > 0 { unsafe obstacles &= ~Self.isUntouched }
        guard has(Self.hasMore) else { return }
        if unsafe count == 0 { return dropMore() }
        core.moves.withLock { _ in
            unsafe more?.taken += taken
            unsafe more?.lent = []
        }
    }

    /// Takes what the last read has lent.
    @inlinable
    @inline(__always)
    func takeLent() {
        if unsafe lent == 0 { return }
        beginRead()
        unsafe consume(lent)
        unsafe lent = 0
    }

    /// Invalidates everything that was lent before. Call it before those bytes go.
    @inlinable
    @inline(__always)
    func beginRead() {
        // Only one thread writes it.
        reads.store(reads.load(ordering: .relaxed) &+ 1, ordering: .releasing)
    }

    /// The bytes that are there.
    @inlinable
    var waiting: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: bytes, count: count)
    }

    // MARK: Calls

    /// Lends all bytes that are there to `body`, which takes them all. Waits if there are none.
    /// Returns `nil` at the end of the stream.
    ///
    /// ```swift
    /// while try await connection.withNextBytes({ bytes in try connection.tryWrite(bytes) }) != nil {}
    /// ```
    ///
    /// This is the fastest of all reads. Use it on the thread of the connection's loop.
    ///
    /// - Throws: ``SluiceError``; ``TimedOut``; `CancellationError`; what `body` throws.
    @inlinable
    @inline(__always)
    public nonisolated(nonsending) func withNextBytes<Result>(
        _ body: (Span<UInt8>) throws -> Result
    ) async throws -> Result? {
        require(core.isCurrent, Self.onlyOnLoop)
        takeLent()
        if unsafe count == 0 { guard try await fill() else { return nil } }
        let taken = unsafe count
        let result = unsafe try body(Span(_unsafeElements: waiting))
        consume(taken)
        return result
    }

    /// Reads as many bytes as are there, up to the size of `buffer`, which is 1 byte or more.
    /// Returns how many they are, 0 at the end of the stream.
    ///
    /// Use it on the thread of the connection's loop.
    @inlinable
    public nonisolated(nonsending) func read(
        into buffer: inout MutableSpan<UInt8>
    ) async throws -> Int {
        require(core.isCurrent, Self.onlyOnLoop)
        require(!buffer.isEmpty, "a read into a buffer of no bytes; at least 1 is needed")
        takeLent()
        if unsafe count == 0 { guard try await fill() else { return 0 } }
        let taken = unsafe min(count, buffer.count)
        for index in 0..<taken { unsafe buffer[index] = waiting[index] }
        consume(taken)
        return taken
    }

    /// Reads as many bytes as are there, at most `most`. They are at least `least`, unless the
    /// stream ends before. At its end there are none.
    public nonisolated(nonsending) func read(
        atLeast least: Int = 1, atMost most: Int
    ) async throws -> [UInt8] {
        require(0 <= least && least <= most, "at least \(least) bytes and at most \(most)")
        guard core.isCurrent else { return try await loop.read(self, atLeast: least, atMost: most) }
        takeLent()
        do {
            while unsafe count < least {
                guard try await fillBehind() else { break }
            }
        } catch let error as SluiceError where error.code == .wrongThread {
            return try await loop.read(self, atLeast: least, atMost: most)
        }
        let taken = unsafe min(count, most)
        guard taken > 0 else { return [] }
        let result = unsafe Array(waiting[..<taken])
        consume(taken)
        return result
    }

    /// Reads `wanted` bytes.
    ///
    /// - Throws: ``UnexpectedEnd`` if the stream ends before. The error leaves the bytes that
    ///   there are for the next read.
    public nonisolated(nonsending) func read(exactly wanted: Int) async throws -> [UInt8] {
        guard core.isCurrent else { return try await loop.read(self, exactly: wanted) }
        takeLent()
        do {
            while unsafe count < wanted {
                guard try await fillBehind() else {
                    throw UnexpectedEnd(count: unsafe count, wanted: wanted)
                }
            }
        } catch let error as SluiceError where error.code == .wrongThread {
            return try await loop.read(self, exactly: wanted)
        }
        return try await read(atLeast: wanted, atMost: wanted)
    }

    /// The bytes before the next `delimiter`, which is taken too; `nil` at the end of the stream.
    ///
    /// - Parameter limit: the most bytes before the delimiter.
    /// - Throws: ``TooLong``; ``UnexpectedEnd`` if the stream ends before the delimiter. Both leave
    ///   the bytes that there are for the next read.
    public nonisolated(nonsending) func read(
        until delimiter: UInt8, limit: Int
    ) async throws -> [UInt8]? {
        guard core.isCurrent else {
            return try await loop.read(self, until: delimiter, limit: limit)
        }
        do {
            guard let end = try await find(delimiter, limit: limit, of: limit) else { return nil }
            let result = unsafe Array(waiting[..<end])
            consume(end + 1)
            return result
        } catch let error as SluiceError where error.code == .wrongThread {
            return try await loop.read(self, until: delimiter, limit: limit)
        }
    }

    /// The next line, without its end: "\n" or "\r\n". `nil` at the end of the stream. What is not
    /// UTF-8 is replaced by U+FFFD.
    ///
    /// - Parameter limit: the most bytes of a line.
    /// - Throws: as ``read(until:limit:)``.
    @inlinable
    @inline(__always)
    public nonisolated(nonsending) func readLine(limit: Int = 8_192) async throws -> String? {
        // Most lines are there already. Then there is nothing to wait for, and no call that could
        // wait.
        if let line = try lineThatIsThere(limit) { return line }
        return try await lineThatComes(limit)
    }

    @usableFromInline
    func lineThatIsThere(_ limit: Int) throws -> String? {
        guard core.isCurrent else { return nil }
        takeLent()
        let end = unsafe Span(_unsafeElements: waiting).firstIndex(of: UInt8(ascii: "\n"))
        guard let end else { return nil }
        return try takeLine(end, limit)
    }

    @usableFromInline
    nonisolated(nonsending) func lineThatComes(_ limit: Int) async throws -> String? {
        guard core.isCurrent else { return try await loop.readLine(self, limit: limit) }
        // The line may have its "\r" besides.
        let most = min(limit, .max - 1) + 1
        do { return try await line(most, limit) } catch let error as SluiceError
            where error.code == .wrongThread
        {
            return try await loop.readLine(self, limit: limit)
        }
    }

    // Inlined, as `find` is: an asynchronous call takes memory of the task.
    @inline(__always)
    private nonisolated(nonsending) func line(_ most: Int, _ limit: Int) async throws -> String? {
        guard let end = try await find(UInt8(ascii: "\n"), limit: most, of: limit) else {
            return nil
        }
        return try takeLine(end, limit)
    }

    /// The line that ends at this index of the bytes that are there.
    @inline(__always)
    private func takeLine(_ end: Int, _ limit: Int) throws -> String {
        let start = unsafe bytes.unsafelyUnwrapped
        let hasReturn = unsafe end > 0 && start[end &- 1] == UInt8(ascii: "\r")
        let length = hasReturn ? end &- 1 : end
        guard length <= limit else { throw TooLong(limit: limit) }
        let text = unsafe String(
            decoding: UnsafeBufferPointer(start: start, count: length), as: UTF8.self)
        consume(end &+ 1)
        return text
    }

    /// Waits until the byte is there, and returns its index; `nil` at the end of the stream.
    /// `named` is the limit that the caller knows of.
    @inline(__always)
    private nonisolated(nonsending) func find(
        _ delimiter: UInt8, limit: Int, of named: Int
    ) async throws -> Int? {
        takeLent()
        var searched = 0
        while true {
            let found = unsafe Span(_unsafeElements: waiting)
                .firstIndex(of: delimiter, from: searched)
            if let found, found <= limit { return found }
            unsafe searched = count
            if searched > limit { throw TooLong(limit: named) }
            guard try await fillBehind() else {
                if unsafe count == 0 { return nil }
                throw UnexpectedEnd(count: unsafe count)
            }
        }
    }
}

/// The time limit of one wait.
class WaitLimit: Alarm, @unchecked Sendable {
    private let waiter: Waiter

    init(_ waiter: Waiter) {
        self.waiter = waiter
    }

    override func fire(_ core: Core, _ flags: UInt32) {
        super.fire(core, flags)
        waiter.wake(core)
    }
}

/// The reads of a connection, for callers that are not on its thread.
extension Loop {
    func read(_ connection: Connection, atLeast: Int, atMost: Int) async throws -> [UInt8] {
        try await connection.read(atLeast: atLeast, atMost: atMost)
    }

    func read(_ connection: Connection, exactly wanted: Int) async throws -> [UInt8] {
        try await connection.read(exactly: wanted)
    }

    func read(
        _ connection: Connection, until delimiter: UInt8, limit: Int
    ) async throws -> [UInt8]? {
        try await connection.read(until: delimiter, limit: limit)
    }

    func readLine(_ connection: Connection, limit: Int) async throws -> String? {
        try await connection.readLine(limit: limit)
    }
}
