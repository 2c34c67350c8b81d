private import Glibc
private import Synchronization

/// A stream of bytes in memory, to test code that reads and writes bytes. What is written at one
/// end is read at the other. Both ends may be used from any task.
///
/// ```swift
/// let (reader, writer) = BytePipe.make(capacity: 16)
/// try await writer.write("GET / HTTP/1.1\r\n\r\n")
/// let request = try await parse(reader)
/// ```
public enum BytePipe {
    /// Makes the two ends of a pipe that holds `capacity` bytes, at least 1. A write waits for
    /// room.
    public static func make(capacity: Int = 65_536) -> (reader: Reader, writer: Writer) {
        require(capacity >= 1, "a pipe for \(capacity) bytes; at least 1 is needed")
        let buffer = Buffer(capacity)
        return (Reader(buffer: buffer), Writer(buffer: buffer))
    }

    /// The end that reads.
    public struct Reader: ByteReader, Sendable {
        fileprivate let buffer: Buffer

        /// Lends the next bytes: see ``ByteReader/read(atMost:_:)``.
        public func read<Result>(
            atMost most: Int? = nil, _ body: (inout ByteInput) throws -> Result
        ) async throws -> Result {
            requireSome(most)
            let (bytes, isLast) = try await buffer.take()
            let length = min(bytes.count, most ?? bytes.count)
            var input = ByteInput(
                bytes.span[..<length], isLast: isLast && length == bytes.count)
            // If `body` throws, it has consumed nothing, and the next read does not wait for more.
            var (consumed, isUntouched) = (0, false)
            defer { buffer.putBack(bytes[consumed...], isUntouched: isUntouched) }
            let result = try body(&input)
            consumed = input.consumed
            isUntouched = length > 0 && consumed == 0
            return result
        }

        /// Ends the pipe like a connection that is reset. Writes throw. Reads first give the bytes
        /// that are there, and then throw, unless the writer has finished before.
        public func abort() {
            buffer.abort()
        }
    }

    /// The end that writes.
    public struct Writer: ByteWriter, Sendable {
        fileprivate let buffer: Buffer

        /// Writes the bytes, and returns when they are in the pipe.
        ///
        /// - Throws: ``SluiceError`` after ``finishWriting()`` or an abort; `CancellationError`.
        public func write(_ bytes: Span<UInt8>) async throws {
            var rest = Array(bytes)[...]
            while !rest.isEmpty { rest = try await buffer.add(rest) }
        }

        /// Writes the bytes.
        public func write(_ bytes: [UInt8]) async throws {
            try await write(bytes.span)
        }

        /// Writes the text as UTF-8.
        public func write(_ text: String) async throws {
            try await write(text.utf8Span.span)
        }

        /// Ends the stream: no more bytes follow.
        public func finishWriting() async throws {
            buffer.finish()
        }

        /// Ends the pipe like a connection that is reset: see ``Reader/abort()``.
        public func abort() {
            buffer.abort()
        }
    }
}

/// The bytes between the two ends, and the tasks that wait for them.
private final class Buffer: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var isFinished = false
        var isAborted = false
        var reader: Wait?
        var writer: Wait?
        /// Whether the last read consumed nothing. If so, the next one waits for more.
        var isUntouched = false

        /// Whether there are bytes that the reader has not seen yet.
        var hasNew: Bool { !(bytes.isEmpty || isUntouched) }

        /// Whether nothing more comes.
        var isOver: Bool { isFinished || isAborted }
    }

    private static let reset = SluiceError(-ECONNRESET, "use a pipe")

    private struct Wait {
        let number: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }

    private let capacity: Int
    private let state = Mutex(State())
    private let numbers = Atomic<UInt64>(0)

    init(_ capacity: Int) {
        self.capacity = capacity
    }

    /// Takes all the bytes, and says whether nothing follows them. At the end there are none.
    func take() async throws -> (bytes: [UInt8], isLast: Bool) {
        while true {
            let taken: (bytes: [UInt8], isLast: Bool)? = try state.withLock { state in
                guard state.isOver || state.hasNew else { return nil }
                if state.isAborted && !state.isFinished && !state.hasNew {
                    state.isUntouched = false
                    throw Self.reset
                }
                defer { state.bytes = [] }
                return (state.bytes, state.isFinished)
            }
            if let taken { return taken }
            do {
                try await wait(\.reader) { $0.isOver || $0.hasNew }
            } catch {
                // A wait that throws counts as a wait: all bytes come again at once.
                state.withLock { $0.isUntouched = false }
                throw error
            }
        }
    }

    /// Puts back in front the bytes that were taken and not consumed.
    func putBack(_ bytes: ArraySlice<UInt8>, isUntouched: Bool) {
        let writer = state.withLock { state in
            state.bytes.insert(contentsOf: bytes, at: 0)
            state.isUntouched = isUntouched
            return state.bytes.count < capacity || isUntouched ? state.writer.take() : nil
        }
        writer?.continuation.resume()
    }

    /// Takes as many bytes as there is room for, and returns the rest.
    func add(_ bytes: ArraySlice<UInt8>) async throws -> ArraySlice<UInt8> {
        while true {
            let (rest, reader): (ArraySlice<UInt8>?, Wait?) = try state.withLock { state in
                if state.isAborted { throw Self.reset }
                if state.isFinished { throw SluiceError(-EPIPE, "write to a pipe") }
                // A reader that needs more bytes than the capacity gets them all the same.
                let room = state.isUntouched ? bytes.count : capacity - state.bytes.count
                guard room > 0 else { return (nil, nil) }
                state.bytes.append(contentsOf: bytes.prefix(room))
                state.isUntouched = false
                return (bytes.dropFirst(room), state.reader.take())
            }
            reader?.continuation.resume()
            if let rest { return rest }
            try await wait(\.writer) { [capacity] state in
                state.isUntouched || state.bytes.count < capacity || state.isOver
            }
        }
    }

    func finish() {
        // What comes first counts.
        end { $0.isFinished = $0.isFinished || !$0.isAborted }
    }

    func abort() {
        end { $0.isAborted = true }
    }

    /// Makes the waiting tasks check again.
    private func end(_ change: @Sendable (inout State) -> Void) {
        let waits = state.withLock { state in
            change(&state)
            return [state.reader.take(), state.writer.take()]
        }
        for wait in waits { wait?.continuation.resume() }
    }

    /// Waits until the other end has done something. Returns at once if the condition already
    /// holds.
    private func wait(
        _ place: WritableKeyPath<State, Wait?> & Sendable, unless isSo: @Sendable (State) -> Bool
    ) async throws {
        let number = numbers.add(1, ordering: .relaxed).newValue
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let goesOn = state.withLock { state in
                    if isSo(state) || Task.isCancelled { return true }
                    require(
                        state[keyPath: place] == nil,
                        "two tasks use one end of a pipe; let one do it")
                    state[keyPath: place] = Wait(number: number, continuation: continuation)
                    return false
                }
                if goesOn { continuation.resume() }
            }
            try Task.checkCancellation()
        } onCancel: {
            let wait: Wait? = state.withLock { state in
                state[keyPath: place]?.number == number ? state[keyPath: place].take() : nil
            }
            wait?.continuation.resume(throwing: CancellationError())
        }
    }
}
