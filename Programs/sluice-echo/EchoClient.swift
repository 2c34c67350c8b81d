import Sluice
import SystemPackage

/// Sends standard input to a server, prints what comes back, and compares the two.
///
/// One loop waits for standard input, standard output and the connection together, so that none of
/// the three makes the others wait. The first two are watched and not made streams. A stream is
/// non-blocking, and others may have the same terminal or pipe open: for them it would be
/// non-blocking too.
///
/// Memory is bounded. There is a limit on what has been read but has not come back yet, and a limit
/// on what came back but is not printed yet.
struct EchoClient: ~Copyable {
    private static let limit = 1 << 20
    /// To a writable pipe, this many bytes can be written without blocking (PIPE_BUF).
    private static let printedAtOnce = 4096

    private let address: Address
    private let server: StreamID
    private var input: WatchedDescriptor
    private var screen: WatchedDescriptor
    private let prompts: Bool
    private var buffer = ReceiveBuffer(capacity: 1 << 16)

    /// What has been read, but has not come back yet.
    private var expected = PendingBytes()
    private var unprinted = PendingBytes()
    private var returned = 0
    private var isConnected = false
    private var inputHasEnded = false
    private var serverHasEnded = false
    /// Why nothing more can be sent to the server, or received from it.
    private var failure: SluiceError.Code?

    init(connectingTo address: Address, in loop: borrowing EventLoop, prompts: Bool) throws {
        let server: StreamID
        do {
            server = try loop.connect(to: address)
        } catch {
            throw ClientFailure(cannotConnectTo: address, error.code)
        }
        let input = try WatchedDescriptor(.standardInput, in: loop)
        let screen = try WatchedDescriptor(.standardOutput, in: loop)
        self.address = address
        self.server = server
        self.input = input
        self.screen = screen
        self.prompts = prompts
    }

    mutating func run(_ loop: inout EventLoop) throws {
        while !(serverHasEnded && unprinted.isEmpty) {
            try waitForWhatIsNeeded(loop)
            guard try loop.next() else { continue }
            try handle(loop.event, in: loop)
        }
        guard inputHasEnded && expected.isEmpty else {
            let why = failure.map { "\($0.message) (\($0))" } ?? "the server closed the connection"
            throw ClientFailure(
                "\(why); \(counted(returned, "byte")) came back and \(expected.count) did not")
        }
    }

    private mutating func handle(_ event: Event, in loop: borrowing EventLoop) throws {
        switch event {
        case .connected:
            isConnected = true
            prompt()
        case .data(_, let bytes):
            try compare(bytes, in: loop)
            unprinted.append(copying: bytes)
        case .endOfStream:
            serverHasEnded = true
        case .closed(_, let ending):
            guard isConnected else {
                throw ClientFailure(
                    cannotConnectTo: address, ending.error, loop.nameProblem(of: server))
            }
            failure = ending.error
            serverHasEnded = true
        case .ready(input.watch, _):
            try readInput(loop)
        case .ready(screen.watch, _):
            try print()
        default:
            break
        }
    }

    private mutating func waitForWhatIsNeeded(_ loop: borrowing EventLoop) throws {
        let reads =
            isConnected && !serverHasEnded && !inputHasEnded && expected.count < Self.limit
        try input.watch(for: reads ? .read : [], in: loop)
        try screen.watch(for: unprinted.isEmpty ? [] : .write, in: loop)
        guard loop.isLive(server) else { return }
        if unprinted.count < Self.limit { loop.resume(server) } else { loop.pause(server) }
    }

    private mutating func readInput(_ loop: borrowing EventLoop) throws {
        let received: FileDescriptor.Received
        do {
            received = try expected.receive(from: input.descriptor, through: &buffer)
        } catch {
            throw ClientFailure("cannot read standard input: \(error.code.message) (\(error.code))")
        }
        // The stream may have ended meanwhile. Then its last event says so.
        guard loop.isLive(server) else { return }
        switch received {
        case .bytes:
            loop.write(buffer.bytes, to: server)
        case .endOfStream:
            inputHasEnded = true
            // The half-close: the server sees the end of what we send, and we still see its answer.
            loop.finishSending(on: server)
        case .wouldBlock:
            break
        }
    }

    /// Compares what came back with the oldest bytes that were sent.
    private mutating func compare(_ back: Span<UInt8>, in loop: borrowing EventLoop) throws {
        let sent = expected.count - loop.pendingBytes(of: server)
        guard back.count <= sent, expected.begins(with: back) else {
            throw ClientFailure(
                "what came back differs from what was sent,"
                    + " within \(counted(back.count, "byte")) from byte \(returned)")
        }
        expected.removeFirst(back.count)
        returned += back.count
    }

    private mutating func print() throws {
        let piece = unprinted.waiting.prefix(Self.printedAtOnce)
        let count = piece.count
        do {
            try screen.descriptor.writeAll(piece)
        } catch {
            throw ClientFailure("cannot write to standard output: \(error)")
        }
        unprinted.removeFirst(count)
        if unprinted.isEmpty { prompt() }
    }

    private func prompt() {
        if prompts && !inputHasEnded { _ = try? screen.descriptor.writeAll(">>: ".utf8) }
    }
}

/// A descriptor that a loop watches and does not own.
private struct WatchedDescriptor {
    let descriptor: FileDescriptor
    let watch: WatchID
    private var interest: Interest = []

    init(_ descriptor: FileDescriptor, in loop: borrowing EventLoop) throws {
        self.descriptor = descriptor
        watch = try loop.watch(descriptor, for: [])
    }

    mutating func watch(for interest: Interest, in loop: borrowing EventLoop) throws {
        guard interest != self.interest else { return }
        try loop.rewatch(watch, for: interest)
        self.interest = interest
    }
}

/// What ends a client with a non-zero exit.
struct ClientFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    /// `nameProblem` says why the name in the address was not found.
    init(
        cannotConnectTo address: Address, _ code: SluiceError.Code?, _ nameProblem: String? = nil
    ) {
        if let problem = address.problem ?? nameProblem {
            self.init("cannot connect to \"\(address)\": \(problem)")
        } else {
            let why =
                switch code {
                case .notRegistered?: "no socket is there (ENOENT)"
                case let code? where code.errno == .resourceTemporarilyUnavailable:
                    "its queue of callers is full (EAGAIN)"
                case let code?: "\(code.message) (\(code))"
                case nil: "it closed the connection"
                }
            self.init(
                "cannot connect to \(address): \(why);"
                    + " a server is started with: sluice-echo serve --listen \(address)")
        }
    }
}
