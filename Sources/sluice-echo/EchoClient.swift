import Sluice
import SystemPackage

/// Sends standard input to a server, prints what comes back, and compares the two.
///
/// Standard input, standard output and the socket are waited for together, so that none of the
/// three makes the others wait. Memory is bounded: what has been read and did not come back yet,
/// and what came back and is not printed yet, are each held to a limit.
struct EchoClient: ~Copyable {
    private static let limit = 1 << 20
    /// To a pipe that is writable as many bytes can be written without blocking (PIPE_BUF), and the
    /// pipe, which others may share, must not be made non-blocking.
    private static let printedAtOnce = 4096

    private let server: FileDescriptor
    private let input = FileDescriptor.standardInput
    private let screen = FileDescriptor.standardOutput
    private let prompts: Bool
    private var poller: Poller
    private var buffer = ReceiveBuffer(capacity: 1 << 16)

    /// Read, and not come back yet. The first `sent` of them are under way.
    private var expected = PendingBytes()
    private var sent = 0
    private var unprinted = PendingBytes()
    private var returned = 0
    private var inputHasEnded = false
    private var serverHasEnded = false
    /// Why nothing more can be sent to the server, or received from it.
    private var failure: SluiceError?

    init(connectingTo address: String, backend: Backend?, prompts: Bool) throws {
        var poller = try Poller(backend)
        let server = try Self.connect(to: address, &poller)
        try poller.add(.standardInput, interest: [])
        try poller.add(.standardOutput, interest: [])
        self.server = server
        self.prompts = prompts
        self.poller = poller
    }

    private static func connect(
        to address: String, _ poller: inout Poller
    ) throws -> FileDescriptor {
        do {
            let server = try FileDescriptor.connect(to: address)
            try poller.add(server, interest: .write)
            try poller.wait()
            try server.finishConnecting()
            return server
        } catch {
            throw ClientFailure(
                "cannot connect to \(address): \(error.code.message) (\(error.code));"
                    + " a server is started with: sluice-echo serve")
        }
    }

    mutating func run() throws {
        prompt()
        while !(serverHasEnded && unprinted.isEmpty) {
            try waitForWhatIsNeeded()
            while let event = poller.next() {
                switch event.descriptor {
                case input: try readInput()
                case screen: try print()
                default: try exchange(event.readiness)
                }
            }
        }
        try server.close()
        guard inputHasEnded && expected.isEmpty else {
            let why = failure.map { "\($0)" } ?? "the server closed the connection"
            throw ClientFailure(
                "\(why); \(returned) bytes came back and \(expected.count) did not")
        }
    }

    private mutating func waitForWhatIsNeeded() throws(SluiceError) {
        let sends = !serverHasEnded && failure == nil
        let reads = sends && !inputHasEnded && expected.count < Self.limit
        try poller.modify(input, interest: reads ? .read : [])
        try poller.modify(screen, interest: unprinted.isEmpty ? [] : .write)
        var exchange: Interest = []
        if !serverHasEnded && unprinted.count < Self.limit { exchange.insert(.read) }
        if sends && sent < expected.count { exchange.insert(.write) }
        try poller.modify(server, interest: exchange)
        try poller.wait()
    }

    private mutating func readInput() throws {
        if try expected.receive(from: input, through: &buffer) == .endOfStream {
            inputHasEnded = true
            finishSendingIfDone()
        }
    }

    /// A connection that fails ends nothing yet: what has come back before is still to be read,
    /// and to be printed.
    private mutating func exchange(_ readiness: Readiness) throws {
        if readiness.contains(.write) { send() }
        guard readiness.contains(.read) else { return }
        do {
            try receive()
        } catch let error as SluiceError {
            failure = failure ?? error
            serverHasEnded = true
        }
    }

    private mutating func send() {
        do {
            sent += try expected.send(to: server, skipping: sent)
        } catch {
            failure = error
        }
        finishSendingIfDone()
    }

    private mutating func receive() throws {
        switch try unprinted.receive(from: server, through: &buffer) {
        case .bytes(let count): try compare(count)
        case .endOfStream: serverHasEnded = true
        case .wouldBlock: break
        }
    }

    /// Compares the newest `count` bytes that came back with the oldest that were sent.
    private mutating func compare(_ count: Int) throws {
        let back = unprinted.waiting.suffix(count)
        guard count <= sent, expected.waiting.starts(with: back) else {
            throw ClientFailure(
                "what came back differs from what was sent, within \(count) bytes from byte \(returned)"
            )
        }
        expected.removeFirst(count)
        sent -= count
        returned += count
    }

    /// The half-close: the server sees the end of what we send, and we still see its answer.
    private mutating func finishSendingIfDone() {
        guard failure != nil || (inputHasEnded && sent == expected.count) else { return }
        do {
            try server.finishSending()
        } catch {
            failure = failure ?? error
        }
    }

    private mutating func print() throws {
        let piece = unprinted.waiting.prefix(Self.printedAtOnce)
        let count = piece.count
        do {
            try screen.writeAll(piece)
        } catch {
            throw ClientFailure("cannot write to standard output: \(error)")
        }
        unprinted.removeFirst(count)
        if unprinted.isEmpty { prompt() }
    }

    private func prompt() {
        if prompts && !inputHasEnded { _ = try? screen.writeAll(">>: ".utf8) }
    }
}

/// What ends a client with a non-zero exit.
struct ClientFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
