import Sluice
import SystemPackage

/// Sends everything back to whoever sent it, over a ``Poller``.
///
/// What a client sent is sent back at once, as far as the kernel takes it; the rest waits in the
/// connection's queue, and only while there is one is the connection waited for to be writable.
/// A client that does not read its answers is not read from until it does (backpressure).
struct EchoServer: ~Copyable {
    /// Over so many queued bytes a connection is not read from.
    private static let highMark = 1 << 20
    /// How long a stop waits for clients to take what they are owed.
    private static let patience = Duration.seconds(5)

    private struct Connection {
        var queue = PendingBytes()
        var interest: Interest = [.read, .priority]
        var peerHasFinished = false
        /// Urgent bytes stand outside the stream. One is noted, and no longer waited for.
        var watchesPriority = true
        /// At a stop, everything is sent and the end of it, and what comes is thrown away.
        var isParting = false
    }

    private struct Served {
        var connections = 0
        var bytes = 0
        var lostConnections = 0
        var lostBytes = 0
    }

    private var poller: Poller
    private let listener: FileDescriptor
    private let interrupts: Interrupts
    private let output: Output
    private var buffer = ReceiveBuffer(capacity: 1 << 16)
    private var connections: [FileDescriptor: Connection] = [:]
    private var served = Served()
    private var turn = 0
    private var isFull = false
    private var isStopping = false

    init(listeningOn address: String, backend: Backend?, output: Output) throws {
        var poller = try Poller(backend)
        let listener: FileDescriptor
        do {
            listener = try FileDescriptor.listen(on: address)
        } catch {
            throw StartFailure(error)
        }
        try poller.add(listener, interest: .read)
        let place = try listener.localAddress()
        // Before anybody is told that we are there: who knows may send a signal.
        self.interrupts = Interrupts(waking: poller.waker)
        output.line("listening on \(place) with \(poller.backend)")
        self.listener = listener
        self.output = output
        self.poller = poller
    }

    /// Serves until an interrupt, and then until everything is sent, or another interrupt.
    mutating func run() throws {
        while interrupts.count == 0 { try takeTurn(timeout: nil) }
        try stop()
        let end = ContinuousClock.now + Self.patience
        while interrupts.count == 1, !connections.isEmpty, ContinuousClock.now < end {
            try takeTurn(timeout: end - .now)
        }
        finish()
    }

    private mutating func takeTurn(timeout: Duration?) throws {
        try poller.wait(timeout: timeout)
        var events: [Poller.Event] = []
        while let event = poller.next() { events.append(event) }
        if output.trace { show(events) }
        for event in events {
            if event.descriptor == listener {
                try accept()
            } else {
                serve(event.descriptor, event.readiness)
            }
        }
    }

    private mutating func accept() throws {
        do {
            while let connection = try listener.accept() {
                connections[connection] = Connection()
                served.connections += 1
                try poller.add(connection, interest: [.read, .priority])
            }
        } catch {
            // Most likely out of descriptors. The caller stays in the queue, and the listener is
            // not asked about until somebody leaves; to ask would be to spin.
            guard !connections.isEmpty else { throw error }
            output.warn("\(error); accepting goes on when a client leaves")
            try poller.modify(listener, interest: [])
            isFull = true
        }
    }

    private mutating func serve(_ descriptor: FileDescriptor, _ readiness: Readiness) {
        guard var connection = connections.removeValue(forKey: descriptor) else { return }
        do {
            if readiness.contains(.priority) { connection.watchesPriority = false }
            if readiness.contains(.write) {
                let sent = try connection.queue.send(to: descriptor)
                connection.queue.removeFirst(sent)
                served.bytes += sent
            }
            if readiness.contains(.read) && !isStopping {
                try receive(from: descriptor, into: &connection)
            }
            if try !keep(descriptor, &connection) { try close(descriptor) }
        } catch {
            output.line("lost \(descriptor.rawValue): \(error)")
            served.lostConnections += 1
            served.lostBytes += connection.queue.count
            try? close(descriptor)
        }
    }

    private mutating func receive(
        from descriptor: FileDescriptor, into connection: inout Connection
    ) throws(SluiceError) {
        switch try descriptor.receive(into: &buffer) {
        case .bytes(let count):
            var sent = 0
            // What is not sent is queued; also where the send fails, to be counted as lost.
            defer {
                if sent < count {
                    connection.queue.append(copying: buffer.bytes.extracting(sent...))
                }
            }
            // Nothing waits before it: it may go out at once.
            if connection.queue.isEmpty { sent = try descriptor.send(buffer.bytes) }
            served.bytes += sent
        case .endOfStream:
            connection.peerHasFinished = true
        case .wouldBlock:
            break
        }
    }

    /// Waits for what the connection needs now. False when it needs nothing more.
    private mutating func keep(
        _ descriptor: FileDescriptor, _ connection: inout Connection
    ) throws(SluiceError) -> Bool {
        let reads = !connection.peerHasFinished && !isStopping
        if !reads && connection.queue.isEmpty {
            guard try part(from: descriptor, &connection) else { return false }
        }
        var interest: Interest = []
        if reads && connection.queue.count < Self.highMark || connection.isParting {
            interest.insert(.read)
        }
        if !connection.queue.isEmpty { interest.insert(.write) }
        if reads && connection.watchesPriority { interest.insert(.priority) }
        if interest != connection.interest {
            try poller.modify(descriptor, interest: interest)
            connection.interest = interest
        }
        connections[descriptor] = connection
        return true
    }

    /// Everything is sent. False when the connection can be closed.
    ///
    /// A close while bytes are unread is a reset, which takes away what the kernel has still to
    /// deliver. So where there are some, they are thrown away until the peer has seen our end.
    private mutating func part(
        from descriptor: FileDescriptor, _ connection: inout Connection
    ) throws(SluiceError) -> Bool {
        if connection.peerHasFinished { return false }
        switch try descriptor.receive(into: &buffer) {
        case .endOfStream: return false
        case .wouldBlock: return connection.isParting
        case .bytes:
            if !connection.isParting { try descriptor.finishSending() }
            connection.isParting = true
            return true
        }
    }

    private mutating func close(_ descriptor: FileDescriptor) throws {
        try poller.remove(descriptor)
        try descriptor.close()
        if isFull && !isStopping {
            try poller.modify(listener, interest: .read)
            isFull = false
        }
    }

    /// Stops listening and reading, and parts with those who are owed nothing.
    private mutating func stop() throws {
        isStopping = true
        try poller.remove(listener)
        try listener.close()
        for descriptor in Array(connections.keys) { serve(descriptor, []) }
    }

    private mutating func finish() {
        for (descriptor, connection) in connections {
            served.lostConnections += 1
            served.lostBytes += connection.queue.count
            try? close(descriptor)
        }
        output.line(
            "served \(served.connections) connections and \(served.bytes) bytes;"
                + " \(served.lostConnections) connections lost"
                + " with \(served.lostBytes) bytes not sent")
    }

    /// The lists of a turn, as the article prints them.
    private mutating func show(_ events: [Poller.Event]) {
        turn += 1
        func numbers(_ descriptors: some Sequence<FileDescriptor>) -> String {
            "\(descriptors.map(\.rawValue).sorted())"
        }
        func ready(_ flag: Readiness) -> String {
            numbers(events.lazy.filter { $0.readiness.contains(flag) }.map(\.descriptor))
        }
        func waiting(_ flag: Interest) -> [FileDescriptor] {
            connections.filter { $0.value.interest.contains(flag) }.map(\.key)
        }
        let listening = !isStopping && !isFull ? [listener] : []
        output.line(
            "turn \(turn): inputs \(numbers(listening + waiting(.read)))"
                + " outputs \(numbers(waiting(.write)))"
                + " readable \(ready(.read)) writable \(ready(.write))"
                + " exceptional \(ready(.priority))")
    }
}

/// Why a server could not start, and what to do about it.
struct StartFailure: Error, CustomStringConvertible {
    private let error: SluiceError

    init(_ error: SluiceError) {
        self.error = error
    }

    var description: String {
        let remedy =
            switch error.code.errno {
            case .addressInUse: "; another server is there: stop it, or listen on another port"
            case .permissionDenied: "; ports below 1024 are the administrator's: use a higher one"
            case .addressNotAvailable: "; it is no address of this machine: use 127.0.0.1"
            default: ""
            }
        return "\(error)\(remedy)"
    }
}
