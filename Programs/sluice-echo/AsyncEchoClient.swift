import Sluice
import Synchronization
import SystemPackage

/// Sends standard input to a server, prints what comes back, and compares the two. There is a task
/// for each, and pipes are between them. The pipes limit what has not come back yet, and what is
/// not printed yet.
final class AsyncEchoClient: Sendable {
    private static let limit = 1 << 20
    /// To a writable pipe, this many bytes can be written without blocking (PIPE_BUF).
    private static let printedAtOnce = 4096

    private let address: Address
    private let prompts: Bool
    private let loop: Loop
    private let input: Descriptor
    private let screen: Descriptor
    /// What has been read, but has not come back yet.
    private let expected = BytePipe.make(capacity: limit)
    /// What came back, but is not printed yet.
    private let unprinted = BytePipe.make(capacity: limit)
    private let state = Mutex(State())

    private struct State {
        var read = 0
        var returned = 0
        var inputHasEnded = false
        /// Why nothing more can be received.
        var failure: SluiceError.Code?
    }

    private enum Part {
        case sending, receiving, printing
    }

    init(connectingTo address: Address, over backend: Backend?, prompts: Bool) async throws {
        self.address = address
        self.prompts = prompts
        loop = try Loop.start(backend)
        input = try await loop.watch(.standardInput)
        screen = try await loop.watch(.standardOutput)
    }

    func run() async throws {
        try await withTaskExecutorPreference(loop.executor) {
            do {
                try await Sluice.Client.connect(to: address.text, on: loop) { server in
                    try await self.exchange(with: server)
                }
            } catch let error as SluiceError {
                throw ClientFailure(cannotConnectTo: address, error.code)
            }
        }
        let state = state.withLock { $0 }
        guard state.inputHasEnded && state.returned == state.read else {
            let why =
                state.failure.map { "\($0.message) (\($0))" } ?? "the server closed the connection"
            throw ClientFailure(
                "\(why); \(counted(state.returned, "byte")) came back"
                    + " and \(state.read - state.returned) did not")
        }
    }

    /// Returns when what came back is printed.
    private func exchange(with server: Connection) async throws {
        prompt()
        try await withThrowingTaskGroup(of: Part.self) { group in
            group.addTask {
                try await self.send(to: server)
                return .sending
            }
            group.addTask {
                try await self.receive(from: server)
                return .receiving
            }
            group.addTask {
                try await self.print()
                return .printing
            }
            while let part = try await group.next(), part != .printing {}
            group.cancelAll()
        }
    }

    private func send(to server: Connection) async throws {
        var buffer = ReceiveBuffer(capacity: 1 << 16)
        while true {
            try await input.readable()
            let received: FileDescriptor.Received
            do {
                received = try FileDescriptor.standardInput.receive(into: &buffer)
            } catch {
                throw ClientFailure(
                    "cannot read standard input: \(error.code.message) (\(error.code))")
            }
            if received == .wouldBlock { continue }
            if received == .endOfStream {
                state.withLock { $0.inputHasEnded = true }
                // The half-close: the server sees the end, and we still see its answer.
                return try await server.finishWriting()
            }
            state.withLock { $0.read += buffer.bytes.count }
            try await expected.writer.write(buffer.bytes)
            do {
                try await server.write(buffer.bytes)
            } catch is SluiceError {
                return  // The connection has ended. The task that receives says so.
            }
        }
    }

    private func receive(from server: Connection) async throws {
        do {
            while let bytes = try await server.next() {
                try await compare(bytes)
                try await unprinted.writer.write(bytes.span)
            }
        } catch let error as SluiceError {
            state.withLock { $0.failure = error.code }
        }
        try await unprinted.writer.finishWriting()
    }

    /// Compares what came back with the oldest bytes that were sent.
    private func compare(_ bytes: Bytes) async throws {
        let (read, returned) = state.withLock { ($0.read, $0.returned) }
        var sent = [UInt8]()
        if returned + bytes.count <= read {
            var expected = expected.reader
            sent = try await expected.read(exactly: bytes.count)
        }
        guard sent.span.elementsEqual(bytes.span) else {
            throw ClientFailure(
                "what came back differs from what was sent,"
                    + " within \(counted(bytes.count, "byte")) from byte \(returned)")
        }
        state.withLock { $0.returned += bytes.count }
    }

    private func print() async throws {
        while true {
            try await screen.writable()
            let isOver = try await unprinted.reader.read(atMost: Self.printedAtOnce) { input in
                do {
                    try FileDescriptor.standardOutput.writeAll(Array(input.span))
                } catch {
                    throw ClientFailure("cannot write to standard output: \(error)")
                }
                input.consume(input.span.count)
                return input.span.isEmpty
            }
            if isOver { return }
            if state.withLock({ $0.read == $0.returned }) { prompt() }
        }
    }

    private func prompt() {
        if prompts && !state.withLock({ $0.inputHasEnded }) {
            _ = try? FileDescriptor.standardOutput.writeAll(">>: ".utf8)
        }
    }
}
