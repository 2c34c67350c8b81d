internal import CSluice
private import Glibc
public import SystemPackage

extension Connection {
    /// More bytes than this are queued in pieces, with a wait for room between them.
    @usableFromInline static var pieceSize: Int { 256 << 10 }

    // MARK: Writing

    /// Queues the bytes to be sent, and returns when there is room for more. If the peer reads,
    /// that is at once. All writes that a task makes before it waits go out together.
    ///
    /// - Throws: ``SluiceError`` if the connection has ended; ``TimedOut``; `CancellationError`.
    @inlinable
    @inline(__always)
    public nonisolated(nonsending) func write(_ bytes: Span<UInt8>) async throws {
        let code = begin(writing: bytes)
        if code != 0 { try await goOn(writing: bytes, code) }
    }

    /// Queues the bytes if they are one piece. Returns what the loop says, or ``inPieces``.
    @inlinable
    @inline(__always)
    func begin(writing bytes: Span<UInt8>) -> CInt {
        bytes.count > Self.pieceSize
            ? Self.inPieces : core.loop.send(bytes, StreamID(rawValue: id))
    }

    /// Not a code of the loop: nothing has been queued yet.
    @usableFromInline static var inPieces: CInt { .max }

    /// Waits for room, or travels to the loop's thread if the loop has asked for that.
    @usableFromInline
    @inline(never)
    nonisolated(nonsending) func goOn(writing bytes: Span<UInt8>, _ code: CInt) async throws {
        if code == Self.inPieces { return try await writeInPieces(bytes) }
        guard code == SLUICE_ETHREAD.rawValue else { return try await waitForRoom(code) }
        try await loop.write(Array(bytes), to: self)
    }

    /// Queues bytes that were read, to be sent. Bytes in the loop's own buffer are not copied.
    @inlinable
    @inline(__always)
    public nonisolated(nonsending) func write(_ bytes: Bytes) async throws {
        // One call for everything that is not the short way, as in next().
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

    /// Queues the bytes without waiting, for example within ``withNextBytes(_:)``.
    ///
    /// - Returns: whether there is room for more.
    /// - Throws: ``SluiceError/Code/full`` if there is no room for these bytes; then none of them
    ///   were taken. Otherwise, why the connection has ended.
    @inlinable
    @inline(__always)
    @discardableResult
    public func tryWrite(_ bytes: Span<UInt8>) throws(SluiceError) -> Bool {
        let code = core.loop.send(bytes, StreamID(rawValue: id))
        if code < 0 { throw refused(code) }
        return code == 0
    }

    /// Queues the bytes without waiting, as `tryWrite` of a `Span` does.
    @discardableResult
    public func tryWrite(_ bytes: [UInt8]) throws(SluiceError) -> Bool {
        try tryWrite(bytes.span)
    }

    /// Queues the text as UTF-8 without waiting, as `tryWrite` of a `Span` does.
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

    /// Waits until the queue is at its low mark. If the write was refused, throws the reason.
    private nonisolated(nonsending) func waitForRoom(_ code: CInt) async throws {
        if code < 0 { throw refused(code) }
        try await waitToWrite()
    }

    nonisolated(nonsending) func waitToWrite() async throws {
        // Within an actor other than the loop, the wait may end on another thread.
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

    /// If nothing more can be sent, throws the reason.
    private func stopped() throws {
        if has(Self.isCancelled | Self.isWriteCancelled) { throw CancellationError() }
        if has(Self.isExpired) { throw TimedOut() }
        if has(Self.isClosed) { throw failure }
    }

    /// The error of a call that was refused. If the connection has ended, it is the reason for
    /// that.
    @usableFromInline
    @inline(never)
    func refused(_ code: CInt) -> SluiceError {
        require(core.isCurrent, Self.onlyOnLoop)
        if has(Self.isClosed) { return failure }
        // The loop is done with the connection, and CLOSED is yet to come.
        let isOver = code == SLUICE_ESTALE.rawValue
        return SluiceError(isOver ? -EPIPE : code, "write to", .handle(.stream, id))
    }

    /// Sends at once what is queued, as far as the kernel takes it. Otherwise it is sent when the
    /// task waits.
    public func flush() {
        core.perform { [self] in core.loop.flush(stream) }
    }

    /// Sends what is queued, then tells the peer that no more comes (half-close). Reading goes on.
    public nonisolated(nonsending) func finishWriting() async throws {
        guard core.isCurrent else { return try await loop.finishWriting(self) }
        core.loop.finishSending(on: stream)
    }

    /// Has the kernel send a file, or a part of it, without a copy in this process. Returns when
    /// the kernel has taken all of it.
    ///
    /// - Parameters:
    ///   - offset: where in the file to begin, in bytes.
    ///   - count: how many bytes to send; `nil` for all up to its end.
    /// - Returns: how many bytes were sent. They are fewer than `count` if the file is shorter.
    /// - Throws: what a write throws, and errors of the file.
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

    /// Passes on what this connection receives, and its end, to another connection of the same
    /// loop. This is one half of a proxy. Returns when the input of this connection has ended, or
    /// when the other takes no more.
    ///
    /// - Returns: whether everything went over. `false` means that the other connection takes no
    ///   more. Its own reads then say how it has ended, and still give what its peer had sent
    ///   before.
    /// - Throws: why this connection has ended, unless it ended in order; ``TimedOut``;
    ///   `CancellationError`.
    public nonisolated(nonsending) func forward(to destination: Connection) async throws -> Bool {
        require(
            destination.core === core,
            "both connections are to be of one loop; connect on connection.loop")
        return try await loop.forward(self, to: destination)
    }
}

/// The writes of a connection, for callers that are not on its thread.
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
        // So that the end of the destination ends a wait for bytes that are to go there.
        destination.some.sources.append(source)
        defer { destination.some.sources.removeAll { $0 === source } }
        // If the destination has ended before, nothing would end the wait.
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
