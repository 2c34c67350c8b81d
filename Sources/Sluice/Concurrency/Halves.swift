/// What bytes are read from: a connection's half, a pipe in memory, or something in between, such
/// as a decoder. Code that is written against this protocol can be tested without a network: see
/// ``BytePipe``.
public protocol ByteReader: ~Copyable {
    /// Lends the next bytes to `body`: as many as are there, and at most `most`, which is 1 or
    /// more. At the end of the stream there are none, and only there.
    ///
    /// Bytes that `body` does not consume come again first. If it consumes nothing, more bytes are
    /// waited for before it is called again, unless the stream has ended. If it throws, all bytes
    /// come again at once.
    mutating nonisolated(nonsending) func read<Result>(
        atMost most: Int?, _ body: (inout ByteInput) throws -> Result
    ) async throws -> Result
}

/// A read of no bytes could not be told from the end of the stream.
func requireSome(_ most: Int?) {
    require(most ?? 1 >= 1, "a read of at most \(most ?? 0) bytes; ask for 1 at least")
}

/// What bytes are written to. See ``ByteReader``.
public protocol ByteWriter: ~Copyable {
    /// Takes the bytes, and returns when there is room for more.
    mutating nonisolated(nonsending) func write(_ bytes: Span<UInt8>) async throws

    /// Ends the stream: no more bytes follow.
    mutating nonisolated(nonsending) func finishWriting() async throws
}

/// Bytes that are lent by a ``ByteReader``, and how many of them have been consumed.
public struct ByteInput: ~Escapable {
    /// The bytes; none at the end of the stream.
    public let span: Span<UInt8>
    /// Whether nothing follows them.
    public let isLast: Bool
    /// How many of the first bytes do not come again.
    public private(set) var consumed = 0

    /// Makes an input, for types that are readers.
    @_lifetime(copy span)
    public init(_ span: Span<UInt8>, isLast: Bool) {
        self.span = span
        self.isLast = isLast
    }

    /// Consumes the next `count` bytes: they do not come again.
    public mutating func consume(_ count: Int) {
        require(
            count >= 0 && consumed + count <= span.count,
            "\(count) bytes are consumed of \(span.count - consumed)")
        consumed += count
    }
}

extension ByteReader where Self: ~Copyable {
    // A read that throws here has consumed nothing, as with a connection's own reads. Each read
    // looks at all the bytes that there are, until they are enough.

    /// Reads `count` bytes.
    ///
    /// - Throws: ``UnexpectedEnd`` if the stream ends before. It leaves the bytes that there are
    ///   for the next read, as any other error does.
    public mutating nonisolated(nonsending) func read(exactly count: Int) async throws -> [UInt8] {
        if count == 0 { return [] }
        while true {
            let bytes = try await read(atMost: count) { input -> [UInt8]? in
                let there = input.span.count
                if there < count {
                    guard input.isLast || there == 0 else { return nil }
                    throw UnexpectedEnd(count: there, wanted: count)
                }
                input.consume(count)
                return Array(input.span)
            }
            if let bytes { return bytes }
        }
    }

    /// The bytes before the next `delimiter`, which is taken too; `nil` at the end of the stream.
    ///
    /// - Throws: ``TooLong``; ``UnexpectedEnd`` if the stream ends before the delimiter. Both leave
    ///   the bytes that there are for the next read, as any other error does.
    public mutating nonisolated(nonsending) func read(
        until delimiter: UInt8, limit: Int
    ) async throws -> [UInt8]? {
        try await read(until: delimiter, limit: limit, of: limit) { Array($0) }
    }

    /// The result of `body` for the bytes before the delimiter. The bytes are consumed unless
    /// `body` throws. `named` is the limit that the caller knows of.
    private mutating nonisolated(nonsending) func read<Result>(
        until delimiter: UInt8, limit: Int, of named: Int, _ body: (Span<UInt8>) throws -> Result
    ) async throws -> Result? {
        var searched = 0
        while true {
            let (result, isOver) = try await read(atMost: nil) { input -> (Result?, Bool) in
                let found = input.span.firstIndex(of: delimiter, from: searched)
                searched = input.span.count
                guard (found ?? searched) <= limit else { throw TooLong(limit: named) }
                if let found {
                    let result = try body(input.span[..<found])
                    input.consume(found + 1)
                    return (result, true)
                }
                if searched == 0 { return (nil, true) }
                if input.isLast { throw UnexpectedEnd(count: searched) }
                return (nil, false)
            }
            if isOver { return result }
        }
    }

    /// The next line, without its end: "\n" or "\r\n". `nil` at the end of the stream.
    ///
    /// - Throws: as ``read(until:limit:)``.
    public mutating nonisolated(nonsending) func readLine(
        limit: Int = 8_192
    ) async throws -> String? {
        // The line may have its "\r" besides.
        let most = min(limit, .max - 1) + 1
        return try await read(until: UInt8(ascii: "\n"), limit: most, of: limit) { line in
            let hasReturn = !line.isEmpty && line[line.count - 1] == UInt8(ascii: "\r")
            let length = line.count - (hasReturn ? 1 : 0)
            guard length <= limit else { throw TooLong(limit: limit) }
            return String(decoding: line[..<length], as: UTF8.self)
        }
    }
}

extension ByteWriter where Self: ~Copyable {
    /// Writes the bytes.
    public mutating nonisolated(nonsending) func write(_ bytes: [UInt8]) async throws {
        try await write(bytes.span)
    }

    /// Writes the text as UTF-8.
    public mutating nonisolated(nonsending) func write(_ text: String) async throws {
        try await write(text.utf8Span.span)
    }
}

extension Connection {
    /// The half that reads. Use it on the thread of the connection's loop.
    public struct Reader: ByteReader, Sendable {
        /// The connection whose half this is.
        public let connection: Connection

        init(_ connection: Connection) {
            self.connection = connection
        }

        /// Lends the next bytes: see ``ByteReader/read(atMost:_:)``.
        public nonisolated(nonsending) func read<Result>(
            atMost most: Int? = nil, _ body: (inout ByteInput) throws -> Result
        ) async throws -> Result {
            try await connection.lend(atMost: most, body)
        }

        // These are the connection's own. Unlike the protocol's, they need no mutable reader, and
        // so can be called on `connection.reader`.

        /// The next `count` bytes: see ``Connection/read(exactly:)``.
        public nonisolated(nonsending) func read(exactly count: Int) async throws -> [UInt8] {
            try await connection.read(exactly: count)
        }

        /// The bytes before the next `delimiter`: see ``Connection/read(until:limit:)``.
        public nonisolated(nonsending) func read(
            until delimiter: UInt8, limit: Int
        ) async throws -> [UInt8]? {
            try await connection.read(until: delimiter, limit: limit)
        }

        /// The next line: see ``Connection/readLine(limit:)``.
        public nonisolated(nonsending) func readLine(limit: Int = 8_192) async throws -> String? {
            try await connection.readLine(limit: limit)
        }
    }

    /// The half that writes. Use it on the thread of the connection's loop.
    public struct Writer: ByteWriter, Sendable {
        /// The connection whose half this is.
        public let connection: Connection

        init(_ connection: Connection) {
            self.connection = connection
        }

        /// Queues the bytes, and returns when there is room for more.
        public nonisolated(nonsending) func write(_ bytes: Span<UInt8>) async throws {
            try await connection.write(bytes)
        }

        /// Queues the bytes.
        public nonisolated(nonsending) func write(_ bytes: [UInt8]) async throws {
            try await connection.write(bytes)
        }

        /// Queues the text as UTF-8.
        public nonisolated(nonsending) func write(_ text: String) async throws {
            try await connection.write(text)
        }

        /// Tells the peer that no more comes.
        public nonisolated(nonsending) func finishWriting() async throws {
            try await connection.finishWriting()
        }
    }

    /// The half that reads, for one task. Another task may have the ``writer``.
    public var reader: Reader { Reader(self) }

    /// The half that writes, for one task. Another task may have the ``reader``.
    public var writer: Writer { Writer(self) }

    // The bodies are nonsending. Within nonsending code, a plain closure is isolated to nothing,
    // and would leave a loop that tasks do not prefer.

    /// Reads in another task, such as a child of the handler's task. While `body` runs, a
    /// cancellation of this task ends the reads, without a cancellation handler for each of them.
    ///
    /// ```swift
    /// async let received = connection.withReader { reader in try await count(reader) }
    /// ```
    public func withReader<Result>(
        isolation: isolated (any Actor)? = #isolation,
        _ body: nonisolated(nonsending) (Reader) async throws -> Result
    ) async throws -> Result {
        let number = beginHome(\.readHome)
        defer { core.perform { self.endHome(Self.isReadCancelled) } }
        return try await withTaskCancellationHandler {
            _ = isolation
            return try await body(reader)
        } onCancel: {
            core.perform { self.cancelHome(number, Self.isReadCancelled) }
        }
    }

    /// Writes in another task. See ``withReader(isolation:_:)``.
    public func withWriter<Result>(
        isolation: isolated (any Actor)? = #isolation,
        _ body: nonisolated(nonsending) (Writer) async throws -> Result
    ) async throws -> Result {
        let number = beginHome(\.writeHome)
        defer { core.perform { self.endHome(Self.isWriteCancelled) } }
        return try await withTaskCancellationHandler {
            _ = isolation
            return try await body(writer)
        } onCancel: {
            core.perform { self.cancelHome(number, Self.isWriteCancelled) }
        }
    }

    /// Makes the running task a home. Returns its number, by which a late cancellation is
    /// recognized.
    private func beginHome(_ home: ReferenceWritableKeyPath<More, Home?>) -> UInt64 {
        require(core.isCurrent, Self.onlyOnLoop)
        let some = some
        require(some[keyPath: home] == nil, "another task has this half; let one have it")
        some.homes += 1
        let number = some.homes
        unsafe withUnsafeCurrentTask { task in
            some[keyPath: home] = unsafe Home(task: task, number: number)
        }
        return number
    }

    private func endHome(_ flag: UInt16) {
        if flag == Self.isReadCancelled { some.readHome = nil } else { some.writeHome = nil }
        unsafe core.homeNow = nil
        unsafe obstacles &= ~flag
    }

    private func cancelHome(_ number: UInt64, _ flag: UInt16) {
        guard let more = unsafe more else { return }
        let isReader = flag == Self.isReadCancelled
        guard (isReader ? more.readHome : more.writeHome)?.number == number else { return }
        unsafe obstacles |= flag
        if isReader { wake(core) } else { more.writer.wake(core) }
    }

    /// Lends what is there, or what comes: see ``ByteReader/read(atMost:_:)``.
    nonisolated(nonsending) func lend<Result>(
        atMost most: Int?, _ body: (inout ByteInput) throws -> Result
    ) async throws -> Result {
        require(core.isCurrent, Self.onlyOnLoop)
        requireSome(most)
        takeLent()
        var isLast = false
        if unsafe count == 0 {
            isLast = !(try await fill())
        } else if has(Self.isUntouched) {
            // This read waits for more, so the mark is cleared, even if the wait or `body` throws.
            unsafe obstacles &= ~Self.isUntouched
            isLast = !(try await fillBehind())
        }
        let length = unsafe min(count, most ?? count)
        var input = unsafe ByteInput(
            Span(_unsafeElements: UnsafeBufferPointer(rebasing: waiting[..<length])),
            isLast: isLast && length == count)
        let result = try body(&input)
        consume(input.consumed)
        if length > 0 && input.consumed == 0 { unsafe obstacles |= Self.isUntouched }
        return result
    }
}

/// A task that has one half of a connection.
@safe
struct Home {
    /// It is compared, and never used otherwise.
    let task: UnsafeCurrentTask?
    let number: UInt64
}
