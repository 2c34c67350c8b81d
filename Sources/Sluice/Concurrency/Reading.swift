// How a read waits. On the short way nothing is in the way: no bytes are there, the loop receives, and
// the running task is known to be the connection's home. Then a wait is a hop, and what comes is lent
// out of the loop's buffer while the task runs within the event.
//
// When the task is busy elsewhere by the time the event is over, the bytes are kept where they lie and
// the stream is paused. So at most one receive of a connection is in memory, and what the peer
// sends on stays in the kernel until it feels it. Bytes are never moved while they are lent.

internal import CSluice
public import Synchronization

extension Connection {
    // MARK: Waiting

    /// Waits until there are bytes: whether there are, or else it is the end.
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

    /// What a read throws that has come to another thread while it waited, for those to catch that can
    /// go on by way of the loop. The bytes that came have been set aside.
    ///
    /// That is how it is within an actor of others that tasks of several threads use: it runs where
    /// the task is that keeps it going.
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

    /// More bytes behind those that are there, which are copied to where more can follow.
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

    /// So many bytes have been taken.
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

    /// Nothing that was lent before is there any more. To be called before it goes.
    @inlinable
    @inline(__always)
    func beginRead() {
        // One thread writes it.
        reads.store(reads.load(ordering: .relaxed) &+ 1, ordering: .releasing)
    }

    /// The bytes that are there.
    @inlinable
    var waiting: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: bytes, count: count)
    }

    // MARK: Calls

    /// Lends the next bytes, all that there are, to `body`, which takes them all. `nil` at the end of
    /// the stream.
    ///
    /// ```swift
    /// while try await connection.withNextBytes({ bytes in try connection.tryWrite(bytes) }) != nil {}
    /// ```
    ///
    /// The quickest of all reads. On the thread of the connection's loop.
    ///
    /// - Throws: ``SluiceError``, ``TimedOut``, `CancellationError`, and what `body` does.
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

    /// As many bytes as are there, up to the room in `buffer`, which is 1 byte at least: how many those
    /// are, 0 at the end of the stream.
    ///
    /// On the thread of the connection's loop.
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

    /// As many bytes as are there, up to `most`, and `least` at least, unless the stream ends before.
    /// None at its end.
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

    /// So many bytes.
    ///
    /// - Throws: ``UnexpectedEnd`` where the stream ends before, which leaves what there is for the
    ///   next read.
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

    /// What stands before the next such byte, which is taken too; `nil` at the end of the stream.
    ///
    /// - Parameter limit: the most bytes before it.
    /// - Throws: ``TooLong``; ``UnexpectedEnd`` where the stream ends before the byte. Both leave what
    ///   there is for the next read.
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

    /// The next line, without its end: "\n" or "\r\n". `nil` at the end of the stream. What is no
    /// UTF-8 is replaced by U+FFFD.
    ///
    /// - Parameter limit: the most bytes of a line.
    /// - Throws: as ``read(until:limit:)``.
    @inlinable
    @inline(__always)
    public nonisolated(nonsending) func readLine(limit: Int = 8_192) async throws -> String? {
        // Most lines are there already: then there is nothing to wait for, and no call that could.
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
        // It may have its "\r" besides.
        let most = min(limit, .max - 1) + 1
        do { return try await line(most, limit) } catch let error as SluiceError
            where error.code == .wrongThread
        {
            return try await loop.readLine(self, limit: limit)
        }
    }

    // Within its caller, as `find` is: an asynchronous call takes memory of the task.
    @inline(__always)
    private nonisolated(nonsending) func line(_ most: Int, _ limit: Int) async throws -> String? {
        guard let end = try await find(UInt8(ascii: "\n"), limit: most, of: limit) else {
            return nil
        }
        return try takeLine(end, limit)
    }

    /// The line that ends at an index of what is there.
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

    /// Where the byte is, waiting until it is there; `nil` at the end of the stream. `named` is the
    /// limit that the caller knows of.
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

/// The limit of one wait.
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

/// The reads of a connection for those who are not on its thread.
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
