import Sluice
import SystemPackage

/// Sends everything back to whoever sent it: the part of a server that is beside its loop.
///
/// The loop sends, queues, and holds back clients that do not read their answers (backpressure).
/// What is left to do here is to answer, to count, and to end in order.
struct EchoServer: EventHandler {
    /// Which of several loops the server has.
    enum Role {
        /// The loop that interrupts come to. It posts them to the others, which report their end.
        case first(helpers: [EventLoop.Poster], Mailbox<Report>)
        /// One of the others. A post to it is an interrupt.
        case helper
    }

    private let settings: ServeSettings
    private let output: Output
    private let listener: ListenerID
    private let role: Role
    /// How many others have not ended.
    private var helpersServing = 0
    /// Why one of the others could not go on.
    private var failure: (any Error)?
    private var statisticsLine: StatisticsLine
    private var streams: Set<StreamID> = []
    private var served = Served()
    private var isStopping = false

    /// Makes a server for a loop that listens.
    init(
        _ settings: ServeSettings, _ listener: ListenerID, _ role: Role,
        in loop: borrowing EventLoop
    ) throws {
        self.settings = settings
        self.output = settings.output
        self.listener = listener
        self.role = role
        self.statisticsLine = StatisticsLine(since: loop.statistics)
        if settings.showsStatistics { try loop.addTimer(after: .seconds(1), every: .seconds(1)) }
        if case .first(let helpers, _) = role {
            helpersServing = helpers.count
            // Otherwise it would show only at the next event that the reader of the output has
            // gone. tail(1) does the same. Not every backend can tell it.
            if output.isNeeded { _ = try? loop.watch(.standardOutput, for: .hangup) }
        }
    }

    /// Serves until an interrupt. Then it goes on until everything is sent, or until another
    /// interrupt. Returns what it has served, together with what the helpers have served.
    mutating func serve(_ loop: inout EventLoop) throws -> Served {
        try endWhereItIsTime(loop)
        try loop.run(&self)
        return try result(in: loop)
    }

    /// What it has served, after the loop has been run.
    func result(in loop: borrowing EventLoop) throws -> Served {
        if let failure { throw failure }
        var served = served
        served.bytes += loop.statistics.bytesSent
        return served
    }

    mutating func handle(_ event: borrowing Event, in loop: borrowing EventLoop) throws {
        if settings.traces {
            output.line("turn \(loop.statistics.turns): \(event.description)")
        }
        switch event {
        case .accepted(let stream, _):
            streams.insert(stream)
            served.connections += 1
            if isStopping { try part(from: [stream], in: loop) }
        case .data(let stream, let bytes):
            // If a client has not read for so long that no more can be queued, this write ends it.
            loop.write(bytes, to: stream)
        case .endOfStream(let stream):
            loop.finishSending(on: stream)
        case .closed(let stream, let ending):
            streams.remove(stream)
            note(ending, of: stream)
        case .overloaded(_, let code):
            output.warn("\(code.message) (\(code)); accepting goes on when a client leaves")
        case .signal:
            try interrupt(loop)
        case .posted:
            try takePost(loop)
        case .timer:
            output.line(statisticsLine.next(loop.statistics))
        case .ready(let watch, _):
            loop.close(watch)
            output.fail(.brokenPipe)
        case .nothing, .connected, .drained, .resolved, .finished:
            break
        }
        try endWhereItIsTime(loop)
    }

    /// Clients that were idle for too long, or had to go at a stop when everything was sent, are
    /// not lost.
    private mutating func note(_ ending: StreamEnding, of stream: StreamID) {
        guard let error = ending.error else { return }
        if ending.unsentBytes == 0 {
            if isStopping && error.errno == .connectionAbort { return }
            if let idleTimeout = settings.idleTimeout, error.errno == .timedOut {
                output.line("closed \(stream): idle for \(idleTimeout)")
                return
            }
        }
        output.line("lost \(stream): \(ending)")
        served.lostConnections += 1
        served.lostBytes += ending.unsentBytes
    }

    // MARK: The end

    private mutating func endWhereItIsTime(_ loop: borrowing EventLoop) throws {
        if output.isOver && !isStopping { try interrupt(loop) }
        if isStopping && streams.isEmpty && helpersServing == 0 { loop.stop() }
    }

    /// Does what an interrupt does.
    mutating func stop(_ loop: borrowing EventLoop) throws {
        try interrupt(loop)
        try endWhereItIsTime(loop)
    }

    /// The first interrupt stops, the second ends at once.
    private mutating func interrupt(_ loop: borrowing EventLoop) throws {
        if case .first(let helpers, _) = role {
            for helper in helpers { try? helper.post(0) }
        }
        if isStopping {
            for stream in streams { loop.abort(stream) }
        } else {
            isStopping = true
            loop.close(listener)
            try part(from: Array(streams), in: loop)
        }
    }

    private mutating func takePost(_ loop: borrowing EventLoop) throws {
        guard case .first(_, let reports) = role else { return try interrupt(loop) }
        for report in reports.take() {
            helpersServing -= 1
            switch report {
            case .success(let others): served = served + others
            case .failure(let error): failure = failure ?? error
            }
        }
        // Without a stop, a helper ends only by an error, its own or the output's. There is no use
        // in going on.
        if !isStopping { try interrupt(loop) }
    }

    /// Ends streams in order. Streams that are owed nothing, and have sent nothing that is unread,
    /// can go at once. To close a stream with unread bytes would be a reset, which takes away what
    /// the kernel has still to deliver. So the others get what is queued and then the end. What
    /// they send is dropped until they have ended too.
    private func part(from streams: [StreamID], in loop: borrowing EventLoop) throws {
        var settled: [FileDescriptor: StreamID] = [:]
        for stream in streams where loop.isLive(stream) {
            if loop.pendingBytes(of: stream) == 0, let descriptor = loop.descriptor(of: stream) {
                settled[descriptor] = stream
            } else {
                loop.close(stream)
            }
        }
        let unread = try select(reading: Array(settled.keys), timeout: .zero).readable
        for descriptor in unread {
            if let stream = settled.removeValue(forKey: descriptor) { loop.close(stream) }
        }
        for stream in settled.values { loop.abort(stream) }
    }
}
