internal import CSluice
private import Glibc
public import SystemPackage

extension Connection {
    /// More than this is queued in pieces, with a wait for room between them.
    @usableFromInline static var pieceSize: Int { 256 << 10 }

    // MARK: Writing

    /// Queues the bytes to be sent, and returns when there is room for more: at once, where the peer
    /// reads. All writes that a task makes before it waits go out together.
    ///
    /// - Throws: ``SluiceError``, where the connection has ended, ``TimedOut``, `CancellationError`.
    @inlinable
    @inline(__always)
    public nonisolated(nonsending) func write(_ bytes: Span<UInt8>) async throws {
        let code = begin(writing: bytes)
        if code != 0 { try await goOn(writing: bytes, code) }
    }

    /// Queues the bytes, where they are one piece: what the loop says, or ``inPieces``.
    @inlinable
    @inline(__always)
    func begin(writing bytes: Span<UInt8>) -> CInt {
        bytes.count > Self.pieceSize
            ? Self.inPieces : core.loop.send(bytes, StreamID(rawValue: id))
    }

    /// No code of the loop's: nothing has been queued yet.
    @usableFromInline static var inPieces: CInt { .max }

    /// Waits for room, or travels to the loop's thread, which the loop itself has asked for.
    @usableFromInline
    @inline(never)
    nonisolated(nonsending) func goOn(writing bytes: Span<UInt8>, _ code: CInt) async throws {
        if code == Self.inPieces { return try await writeInPieces(bytes) }
        guard code == SLUICE_ETHREAD.rawValue else { return try await waitForRoom(code) }
        try await loop.write(Array(bytes), to: self)
    }

    /// Queues what was read, to be sent. What comes from the loop's own buffer is not copied.
    @inlinable
    @inline(__always)
    public nonisolated(nonsending) func write(_ bytes: Bytes) async throws {
        // One call for all that is not the short way, as in next().
        let code = bytes.isElsewhere ? Self.inPieces : begin(writing: bytes.current)
        if code != 0 { try await goOn(writing: bytes, code) }
    }

    @usableFromInline
    @inline(never)
    nonisolated(nonsending) func goOn(writing bytes: Bytes, _ code: CInt) async throws {
        if bytes.isElsewhere { return try await write(bytes.array) }
        try await goOn(writing: bytes.current, code)
    }

    /// Queues the bytes to be sent.
    public nonisolated(nonsending) func write(_ bytes: [UInt8]) async throws {
        guard core.isCurrent else { return try await loop.write(bytes, to: self) }
        try await write(bytes.span)
    }

    /// Queues the text to be sent as UTF-8.
    public nonisolated(nonsending) func write(_ text: String) async throws {
        guard core.isCurrent else { return try await loop.write(Array(text.utf8), to: self) }
        try await write(text.utf8Span.span)
    }

    /// Queues a head and a body to be sent together.
    public nonisolated(nonsending) func write(
        _ head: Span<UInt8>, then body: Span<UInt8>
    ) async throws {
        guard core.isCurrent else {
            return try await loop.write(Array(head) + Array(body), to: self)
        }
        if head.count + body.count > Self.pieceSize {
            try await write(head)
            return try await write(body)
        }
        let code = core.loop.sendTogether(head, body, stream)
        if code != 0 { try await waitForRoom(code) }
    }

    /// Queues the bytes without waiting, as within ``withNextBytes(_:)``: whether there is room for
    /// more.
    ///
    /// - Throws: ``SluiceError/Code/full`` where there is no room for these: nothing was taken. Or why
    ///   the connection has ended.
    @inlinable
    @inline(__always)
    @discardableResult
    public func tryWrite(_ bytes: Span<UInt8>) throws(SluiceError) -> Bool {
        let code = core.loop.send(bytes, StreamID(rawValue: id))
        if code < 0 { throw refused(code) }
        return code == 0
    }

    /// Queues the bytes without waiting, as the other one does.
    @discardableResult
    public func tryWrite(_ bytes: [UInt8]) throws(SluiceError) -> Bool {
        try tryWrite(bytes.span)
    }

    /// Queues the text as UTF-8 without waiting, as the other one does.
    @discardableResult
    public func tryWrite(_ text: String) throws(SluiceError) -> Bool {
        try tryWrite(text.utf8Span.span)
    }

    private nonisolated(nonsending) func writeInPieces(_ bytes: Span<UInt8>) async throws {
        guard core.isCurrent else { return try await loop.write(Array(bytes), to: self) }
        var at = 0
        while at < bytes.count {
            let piece = bytes.extracting(at..<min(at + Self.pieceSize, bytes.count))
            let code = core.loop.send(piece, StreamID(rawValue: id))
            if code != 0 { try await waitForRoom(code) }
            at += piece.count
            guard core.isCurrent else {
                return try await loop.write(Array(bytes.extracting(at...)), to: self)
            }
        }
    }

    /// Waits until the queue is at its low mark, or throws what a write was refused for.
    private nonisolated(nonsending) func waitForRoom(_ code: CInt) async throws {
        if code < 0 { throw refused(code) }
        try await waitToWrite()
    }

    nonisolated(nonsending) func waitToWrite() async throws {
        // Within an actor of others the wait may end on another thread.
        if unsafe core.isGenericNow { return try await loop.waitToWrite(self) }
        let writer = some.writer
        require(unsafe writer.job == nil, "two tasks write to one connection; let one do it")
        try stopped()
        let alarm = try unsafe more?.writeLimit.map { limit in
            let alarm = WaitLimit(writer)
            try alarm.set(core, limit)
            return alarm
        }
        defer { alarm?.cancel(core) }
        if findHome(ofWrites: true) {
            await core.park(writer)
        } else if await core.parkCancellably(writer) {
            throw CancellationError()
        }
        if alarm?.hasFired == true { throw TimedOut() }
        try stopped()
    }

    /// Throws why nothing more can be sent, where that is so.
    private func stopped() throws {
        if has(Self.isCancelled | Self.isWriteCancelled) { throw CancellationError() }
        if has(Self.isExpired) { throw TimedOut() }
        if has(Self.isClosed) { throw failure }
    }

    /// What a call was refused for: why the connection has ended, where it has.
    @usableFromInline
    @inline(never)
    func refused(_ code: CInt) -> SluiceError {
        require(core.isCurrent, Self.onlyOnLoop)
        if has(Self.isClosed) { return failure }
        // The loop is done with it, and CLOSED is yet to come.
        let isOver = code == SLUICE_ESTALE.rawValue
        return SluiceError(isOver ? -EPIPE : code, "write to", .handle(.stream, id))
    }

    /// Sends what is queued, as far as the kernel takes it, now and not when the task waits.
    public func flush() {
        core.perform { [self] in core.loop.flush(stream) }
    }

    /// Sends what is queued, then says to the peer that no more comes (half-close). Reading goes on.
    public nonisolated(nonsending) func finishWriting() async throws {
        guard core.isCurrent else { return try await loop.finishWriting(self) }
        core.loop.finishSending(on: stream)
    }

    /// Has the kernel send a file, or a part of it, without a copy in this process; returns when it
    /// has taken it all.
    ///
    /// - Parameters:
    ///   - offset: where in the file, in bytes.
    ///   - count: how many bytes; `nil` for all to its end.
    /// - Returns: how many bytes those were: fewer where the file is shorter.
    /// - Throws: as a write does, and what is the file's fault.
    @discardableResult
    public nonisolated(nonsending) func send(
        file: FileDescriptor, from offset: Int64 = 0, count: Int? = nil
    ) async throws -> Int {
        guard core.isCurrent else {
            return try await loop.send(file, from: offset, count: count, to: self)
        }
        var sent = 0
        while sent < count ?? .max {
            let left = min((count ?? .max) - sent, 1 << 30)
            do {
                let went = try core.loop.send(
                    file: file, from: offset + Int64(sent), count: left, to: stream)
                guard let went else { throw refused(SLUICE_ESTALE.rawValue) }
                sent += went
                if went < left { try await waitToWrite() }
                if !core.isCurrent {
                    let rest = count.map { $0 - sent }
                    return sent
                        + (try await loop.send(
                            file, from: offset + Int64(sent), count: rest, to: self))
                }
            } catch let error as SluiceError where error.code.errno == .noData {
                break
            }
        }
        return sent
    }

    /// Passes on to another connection of the same loop what this one receives, and its end: one half
    /// of a proxy. Returns when this one's input has ended, or the other takes no more.
    ///
    /// - Returns: whether all went over. `false` where the other takes no more: its own reads say how
    ///   it has ended, and still give what its peer had sent before.
    /// - Throws: why this one has ended, where that was no end in order; ``TimedOut``;
    ///   `CancellationError`.
    public nonisolated(nonsending) func forward(to destination: Connection) async throws -> Bool {
        require(
            destination.core === core,
            "both connections are to be of one loop; connect on connection.loop")
        return try await loop.forward(self, to: destination)
    }
}

/// The writes of a connection for those who are not on its thread.
extension Loop {
    func write(_ bytes: [UInt8], to connection: Connection) async throws {
        try await connection.write(bytes)
    }

    fileprivate func waitToWrite(_ connection: Connection) async throws {
        try await connection.waitToWrite()
    }

    func finishWriting(_ connection: Connection) async throws {
        try await connection.finishWriting()
    }

    func send(
        _ file: FileDescriptor, from offset: Int64, count: Int?, to connection: Connection
    ) async throws -> Int {
        try await connection.send(file: file, from: offset, count: count)
    }

    func forward(_ source: Connection, to destination: Connection) async throws -> Bool {
        // So that its end ends a wait for what is to go there.
        destination.some.sources.append(source)
        defer { destination.some.sources.removeAll { $0 === source } }
        // Nothing ends the wait where that has ended before.
        while !destination.has(Connection.isClosed), let bytes = try await source.next() {
            do {
                try await destination.write(bytes)
            } catch let error as SluiceError where !error.code.saysNoRoom {
                return false
            }
        }
        if destination.has(Connection.isClosed) { return false }
        try await destination.finishWriting()
        return true
    }
}
