/// What bytes are read from: a connection's half, a pipe in memory, or what stands between, such as a
/// decoder. Code that is written against this can be tested without a network: see ``BytePipe``.
public protocol ByteReader: ~Copyable {
    /// Lends the next bytes to `body`: as many as are there, and `most` at most. None at the end of
    /// the stream.
    ///
    /// What `body` does not consume comes again, first. Where it consumes nothing, more is waited for
    /// before it is called again, unless the stream has ended. Where it throws, all comes again at once.
    mutating nonisolated(nonsending) func read<Result>(
        atMost most: Int?, _ body: (inout ByteInput) throws -> Result
    ) async throws -> Result
}

/// What bytes are written to. See ``ByteReader``.
public protocol ByteWriter: ~Copyable {
    /// Takes the bytes, and returns when there is room for more.
    mutating nonisolated(nonsending) func write(_ bytes: Span<UInt8>) async throws

    /// Says that no more comes.
    mutating nonisolated(nonsending) func finishWriting() async throws
}

/// Bytes that are lent by a ``ByteReader``, and how many of them have been consumed.
public struct ByteInput: ~Escapable {
    /// The bytes; none at the end of the stream.
    public let span: Span<UInt8>
    /// Whether nothing follows them.
    public let isLast: Bool
    /// How many of the first of them do not come again.
    public private(set) var consumed = 0

    /// For whoever is a reader.
    @_lifetime(copy span)
    public init(_ span: Span<UInt8>, isLast: Bool) {
        self.span = span
        self.isLast = isLast
    }

    /// Has the next `count` bytes not come again.
    public mutating func consume(_ count: Int) {
        require(
            count >= 0 && consumed + count <= span.count,
            "\(count) bytes are consumed of \(span.count - consumed)")
        consumed += count
    }
}

extension ByteReader where Self: ~Copyable {
    /// So many bytes.
    ///
    /// - Throws: ``UnexpectedEnd`` where the stream ends before.
    public mutating nonisolated(nonsending) func read(exactly count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let wanted = count - bytes.count
            let isOver = try await read(atMost: wanted) { input in
                bytes.append(contentsOf: input.span)
                input.consume(input.span.count)
                return input.span.isEmpty
            }
            if isOver { throw UnexpectedEnd(count: bytes.count, wanted: count) }
        }
        return bytes
    }

    /// What stands before the next such byte, which is taken too; `nil` at the end of the stream.
    ///
    /// - Throws: ``TooLong``; ``UnexpectedEnd`` where the stream ends before the byte.
    public mutating nonisolated(nonsending) func read(
        until delimiter: UInt8, limit: Int
    ) async throws -> [UInt8]? {
        try await read(until: delimiter, limit: limit, of: limit)
    }

    private mutating nonisolated(nonsending) func read(
        until delimiter: UInt8, limit: Int, of named: Int
    ) async throws -> [UInt8]? {
        var bytes: [UInt8] = []
        while true {
            let (isFound, isOver) = try await read(atMost: nil) { input in
                let end = input.span.firstIndex(of: delimiter)
                let part = input.span[..<(end ?? input.span.count)]
                guard bytes.count + part.count <= limit else { throw TooLong(limit: named) }
                bytes.append(contentsOf: part)
                input.consume(part.count + (end == nil ? 0 : 1))
                return (end != nil, input.span.isEmpty)
            }
            if isFound { return bytes }
            guard isOver else { continue }
            if bytes.isEmpty { return nil }
            throw UnexpectedEnd(count: bytes.count)
        }
    }

    /// The next line, without its end: "\n" or "\r\n". `nil` at the end of the stream.
    public mutating nonisolated(nonsending) func readLine(
        limit: Int = 8_192
    ) async throws -> String? {
        let end = UInt8(ascii: "\n")
        // It may have its "\r" besides.
        let most = min(limit, .max - 1) + 1
        guard var line = try await read(until: end, limit: most, of: limit) else { return nil }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        guard line.count <= limit else { throw TooLong(limit: limit) }
        return String(decoding: line, as: UTF8.self)
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
    /// The half that reads. On the thread of the connection's loop.
    public struct Reader: ByteReader, Sendable {
        /// Whose half it is.
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

        // A connection's own, which need no reader that may be changed, as of `connection.reader`.

        /// So many bytes: see ``Connection/read(exactly:)``.
        public nonisolated(nonsending) func read(exactly count: Int) async throws -> [UInt8] {
            try await connection.read(exactly: count)
        }

        /// What stands before the next such byte: see ``Connection/read(until:limit:)``.
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

    /// The half that writes. On the thread of the connection's loop.
    public struct Writer: ByteWriter, Sendable {
        /// Whose half it is.
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

        /// Says to the peer that no more comes.
        public nonisolated(nonsending) func finishWriting() async throws {
            try await connection.finishWriting()
        }
    }

    /// The half that reads, for one task, while another has the ``writer``.
    public var reader: Reader { Reader(self) }

    /// The half that writes, for one task, while another has the ``reader``.
    public var writer: Writer { Writer(self) }

    // The bodies are nonsending: in code that is, a plain closure is isolated to nobody, and would leave
    // a loop that tasks do not prefer.

    /// Reads in a task of its own, such as a child of the handler's. While `body` runs, a cancellation
    /// of this task ends the reads, without a handler for each of them.
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

    /// Writes in a task of its own. See ``withReader(isolation:_:)``.
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

    /// Makes the running task a home: its number, by which a late cancellation is known.
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
        takeLent()
        var isLast = false
        if unsafe count == 0 {
            isLast = !(try await fill())
        } else if has(Self.isUntouched) {
            isLast = !(try await fillBehind())
            // It has been waited for, also where `body` throws.
            unsafe obstacles &= ~Self.isUntouched
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

/// A task that has a half of a connection.
@safe
struct Home {
    /// Compared, and never used otherwise.
    let task: UnsafeCurrentTask?
    let number: UInt64
}
