import Glibc
import Histogram
import Sluice

/// Keeps a server busy: the connections of a load, beside the loop that they are on.
///
/// First all connect, then all send for a while, and then what is under way may come back. If a
/// connection fails in between, the load ends: a server at work is measured.
struct LoadGenerator {
    /// How long nothing may come back at the end, before what is still out is given up.
    static let patience = Duration.seconds(3)
    static let connectTimeout = Duration.seconds(5)
    /// How long to wait before asking for room again: in a unix listener's queue, or among the
    /// names that wait to be looked up.
    static let retryDelay = Duration.milliseconds(1)
    /// How often a progress bar moves.
    static let step = Duration.milliseconds(100)

    private let settings: LoadSettings
    private let messages: LoadMessages
    private let progress: ProgressBar?
    private let created = ContinuousClock.now
    private var connections: [(stream: StreamID, load: LoadConnection)] = []
    /// The numbers of the connections that found no room, and are to try again.
    private var turnedAway: [Int] = []
    private var connected = 0
    private var sent = 0
    private var returned = 0
    private var latency = Histogram<UInt64>(highestTrackableValue: 3_600_000_000_000)

    /// When the first and the last message were sent, and what had come back by then.
    private var begin: ContinuousClock.Instant?
    private var end: ContinuousClock.Instant?
    private var returnedInTime = 0
    private var isGivenUp = false
    private var timeIsUp: TimerID?
    private var patienceIsOver: TimerID?

    /// Begins to connect.
    init(
        _ settings: LoadSettings, in loop: borrowing EventLoop, progress: ProgressBar?
    ) throws {
        self.settings = settings
        self.progress = progress
        messages = LoadMessages(size: settings.size)
        // The histogram grows, since this program, or the machine, may be stopped for more than an
        // hour.
        latency.autoResize = true
        for number in interrupts { try loop.addSignal(number) }
        try connect(loop)
    }

    mutating func run(_ loop: inout EventLoop) throws -> LoadReport {
        defer { progress?.erase() }
        while !(isGivenUp || (end != nil && returned == sent)), try loop.next() {
            try handle(loop.event, in: loop)
        }
        guard let begin, let end else { throw ClientFailure("interrupted while connecting") }
        return LoadReport(
            settings: settings, time: end - begin, sent: sent, returned: returned,
            returnedInTime: returnedInTime, latency: latency)
    }

    private mutating func handle(_ event: Event, in loop: borrowing EventLoop) throws {
        switch event {
        case .connected:
            connected += 1
            if connected == settings.connections { try start(loop) }
        case .data(_, let bytes):
            try receive(bytes, on: Int(loop.userWord), in: loop)
        case .endOfStream:
            throw ClientFailure("the server closed a connection; \(unanswered)")
        case .closed(let stream, let ending):
            guard begin != nil else {
                try heed(ending, of: stream, number: Int(loop.userWord), in: loop)
                return
            }
            let why = ending.error.map { "\($0.message) (\($0))" } ?? "a connection was closed"
            throw ClientFailure("\(why); \(unanswered)")
        case .timer(let timer):
            try take(timer, in: loop)
        case .signal:
            // The second signal does not wait for what is under way. While connecting, the first
            // does not either.
            isGivenUp = begin == nil || end != nil
            if !isGivenUp { try stop(loop) }
        default:
            break
        }
    }

    private mutating func take(_ timer: TimerID, in loop: borrowing EventLoop) throws {
        if timer == patienceIsOver {
            isGivenUp = true
        } else if begin == nil {
            try connect(loop)
        } else if end == nil {
            if timer == timeIsUp { try stop(loop) } else { showProgress() }
        }
    }

    private func showProgress() {
        guard let begin else { return }
        progress?.draw(.now - begin, of: settings.duration, messages: returned)
    }

    private var unanswered: String {
        "\(counted(returned, "message")) came back and \(sent - returned) did not"
    }

    // MARK: The three parts

    /// Connects until there are as many as there should be. If there is no room for one more, it
    /// goes on a little later.
    private mutating func connect(_ loop: borrowing EventLoop) throws {
        let options = StreamOptions(connectTimeout: Self.connectTimeout)
        while let number = turnedAway.last ?? nextNumber {
            let stream: StreamID
            do {
                stream = try loop.connect(to: settings.address, options: options)
            } catch {
                guard mayHaveRoom(after: error.code) else {
                    throw settings.failure(toConnect: error.code, after: connections.count)
                }
                try loop.addTimer(after: Self.retryDelay)
                return
            }
            loop.setUserWord(UInt64(number), of: stream)
            let connection = (
                stream, LoadConnection(number: number, pipeline: settings.pipeline)
            )
            if turnedAway.popLast() == nil {
                connections.append(connection)
            } else {
                connections[number] = connection
            }
        }
    }

    private var nextNumber: Int? {
        connections.count < settings.connections ? connections.count : nil
    }

    /// A connect has failed. It is tried again if there was no room. Otherwise it ends the load.
    private mutating func heed(
        _ ending: StreamEnding, of stream: StreamID, number: Int, in loop: borrowing EventLoop
    ) throws {
        guard let code = ending.error, loop.nameProblem(of: stream) == nil else {
            throw ClientFailure(
                cannotConnectTo: settings.address, ending.error, loop.nameProblem(of: stream))
        }
        guard mayHaveRoom(after: code) else {
            throw settings.failure(toConnect: code, after: number)
        }
        if turnedAway.isEmpty { try loop.addTimer(after: Self.retryDelay) }
        turnedAway.append(number)
    }

    /// Whether it is worth trying again.
    private func mayHaveRoom(after code: SluiceError.Code) -> Bool {
        settings.mayHaveRoom(after: code) && .now - created < Self.connectTimeout
    }

    private mutating func start(_ loop: borrowing EventLoop) throws {
        let now = ContinuousClock.now
        begin = now
        timeIsUp = try loop.addTimer(after: settings.duration)
        if progress != nil { try loop.addTimer(after: .zero, every: Self.step) }
        for number in connections.indices {
            for _ in 0..<settings.pipeline { send(on: number, at: now, in: loop) }
        }
    }

    private mutating func stop(_ loop: borrowing EventLoop) throws {
        end = .now
        returnedInTime = returned
        patienceIsOver = try loop.addTimer(after: Self.patience)
    }

    // MARK: Messages

    private mutating func receive(
        _ bytes: Span<UInt8>, on number: Int, in loop: borrowing EventLoop
    ) throws {
        let now = ContinuousClock.now
        if let patienceIsOver { loop.reset(patienceIsOver, after: Self.patience) }
        var at = 0
        while at < bytes.count {
            let (count, sentAt) = try connections[number].load.take(
                bytes.extracting(at...), messages, verifies: settings.verifies)
            at += count
            guard let sentAt else { continue }
            returned += 1
            latency.record(UInt64(max(0, (now - sentAt) / .nanoseconds(1))))
            if end == nil { send(on: number, at: now, in: loop) }
        }
    }

    private mutating func send(
        on number: Int, at now: ContinuousClock.Instant, in loop: borrowing EventLoop
    ) {
        // A stream that has ended says so itself, in its last event.
        let stream = connections[number].stream
        guard loop.isLive(stream) else { return }
        let place = connections[number].load.next(of: messages, at: now)
        loop.write(messages.text.span.extracting(place), to: stream)
        sent += 1
    }
}
