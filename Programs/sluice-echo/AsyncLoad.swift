import Glibc
import Histogram
import Sluice
import Synchronization

/// Keeps a server busy, with a task for each connection, all on one loop.
///
/// First all connect, then all send for a while, and then what is under way may come back. If a
/// connection fails in between, the load ends: a server at work is measured.
final class AsyncLoad: Sendable {
    private let settings: LoadSettings
    private let messages: LoadMessages
    private let progress: ProgressBar?
    private let loop: Loop
    private let created = ContinuousClock.now
    private let state: Mutex<State>
    private let arrivals: AsyncStream<Void>.Continuation
    /// Ends when all have connected. If one cannot connect, it is cancelled.
    private let start: Task<Void, Never>

    private struct State {
        var connected = 0
        var sent = 0
        var returned = 0
        var latency = Histogram<UInt64>(highestTrackableValue: 3_600_000_000_000)
        /// When the first and the last message were sent, and what had come back by then.
        var begin: ContinuousClock.Instant?
        var end: ContinuousClock.Instant?
        var returnedInTime = 0
        /// When the last one came back.
        var last = ContinuousClock.now
    }

    /// Thrown when what has not come back is given up.
    private struct GivenUp: Error {}

    init(_ settings: LoadSettings, _ progress: ProgressBar?) throws {
        self.settings = settings
        self.progress = progress
        messages = LoadMessages(size: settings.size)
        loop = try Loop.start(settings.backend, options: settings.loopOptions)
        var state = State()
        // The histogram grows, since this program, or the machine, may be stopped for more than an
        // hour.
        state.latency.autoResize = true
        self.state = Mutex(state)
        let (all, arrivals) = AsyncStream.makeStream(of: Void.self)
        self.arrivals = arrivals
        start = Task {
            var count = 0
            for await _ in all {
                count += 1
                if count == settings.connections { return }
            }
        }
    }

    func run() async throws -> LoadReport {
        defer { progress?.erase() }
        let signals = try Signals(SIGINT, SIGTERM, on: loop)
        do {
            try await withTaskExecutorPreference(loop.executor) {
                try await withThrowingTaskGroup { group in
                    group.addTask { try await self.connectAll() }
                    // These end by errors only.
                    group.addTask { try await self.keepTime() }
                    group.addTask { try await self.heed(signals) }
                    if progress != nil { group.addTask { try await self.showProgress() } }
                    try await group.next()
                    group.cancelAll()
                }
            }
        } catch is GivenUp {}
        return try state.withLock { state in
            guard let begin = state.begin, let end = state.end else {
                throw ClientFailure("interrupted while connecting")
            }
            return LoadReport(
                settings: settings, time: end - begin, sent: state.sent, returned: state.returned,
                returnedInTime: state.returnedInTime, latency: state.latency)
        }
    }

    // MARK: Time and signals

    /// Stops when the time is up, and gives up when nothing comes back any more.
    private func keepTime() async throws {
        try await waitForStart()
        try await loop.clock.sleep(for: settings.duration)
        stop()
        while true {
            let idle = .now - state.withLock { max($0.last, $0.end ?? $0.last) }
            guard idle < LoadGenerator.patience else { throw GivenUp() }
            try await loop.clock.sleep(for: LoadGenerator.patience - idle)
        }
    }

    /// The second signal does not wait for what is under way. While connecting, the first does not
    /// either.
    private func heed(_ signals: Signals) async throws {
        for await _ in signals {
            if state.withLock({ $0.begin == nil || $0.end != nil }) { throw GivenUp() }
            stop()
        }
        try Task.checkCancellation()
    }

    private func stop() {
        state.withLock { state in
            guard state.end == nil else { return }
            state.end = .now
            state.returnedInTime = state.returned
        }
    }

    private func showProgress() async throws {
        while true {
            try await loop.clock.sleep(for: LoadGenerator.step)
            let (begin, end, returned) = state.withLock { ($0.begin, $0.end, $0.returned) }
            if let begin, end == nil {
                progress?.draw(.now - begin, of: settings.duration, messages: returned)
            }
        }
    }

    private func waitForStart() async throws {
        await withTaskCancellationHandler {
            await start.value
        } onCancel: {
            start.cancel()
        }
        try Task.checkCancellation()
        let isFirst = state.withLock { state in
            if state.begin != nil { return false }
            state.begin = .now
            return true
        }
        if isFirst { progress?.draw(.zero, of: settings.duration, messages: 0) }
    }

    // MARK: Connections

    private func connectAll() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for number in 0..<settings.connections {
                group.addTask { try await self.connect(number) }
            }
        }
    }

    /// Connects, and exchanges messages. If there is no room for one more, it tries again.
    private func connect(_ number: Int) async throws {
        // When a connection is closed, everything is back. A peer that does not end then is not
        // waited for.
        let options = StreamOptions(
            lingerTime: .seconds(1), connectTimeout: LoadGenerator.connectTimeout)
        while true {
            do {
                return try await Sluice.Client.connect(
                    to: settings.address.text, on: loop, options: options
                ) { server in
                    try await self.exchange(on: number, with: server)
                }
            } catch let error as SluiceError {
                guard settings.mayHaveRoom(after: error.code),
                    .now - created < LoadGenerator.connectTimeout
                else {
                    throw settings.failure(
                        toConnect: error.code, after: state.withLock { $0.connected })
                }
                try await loop.clock.sleep(for: LoadGenerator.retryDelay)
            }
        }
    }

    private func exchange(on number: Int, with server: Connection) async throws {
        state.withLock { $0.connected += 1 }
        arrivals.yield()
        try await waitForStart()
        var own = LoadConnection(number: number, pipeline: settings.pipeline)
        do {
            for _ in 0..<settings.pipeline { try await send(&own, to: server) }
            while own.isWaiting, let bytes = try await server.next() {
                try await receive(bytes, &own, from: server)
            }
        } catch let error as SluiceError {
            throw ClientFailure("\(error.code.message) (\(error.code)); \(unanswered)")
        }
        if own.isWaiting { throw ClientFailure("the server closed a connection; \(unanswered)") }
    }

    private func send(_ own: inout LoadConnection, to server: Connection) async throws {
        let place = own.next(of: messages, at: .now)
        state.withLock { $0.sent += 1 }
        // A span of the property would borrow it, and no borrow may last over an await.
        let text = messages.text
        try await server.write(text.span.extracting(place))
    }

    private func receive(
        _ bytes: Bytes, _ own: inout LoadConnection, from server: Connection
    ) async throws {
        let now = ContinuousClock.now
        var at = 0
        while at < bytes.count {
            let (count, sentAt) = try own.take(
                bytes.span.extracting(at...), messages, verifies: settings.verifies)
            at += count
            let goesOn = state.withLock { state in
                state.last = now
                guard let sentAt else { return false }
                state.returned += 1
                state.latency.record(UInt64(max(0, (now - sentAt) / .nanoseconds(1))))
                return state.end == nil
            }
            if goesOn { try await send(&own, to: server) }
        }
    }

    private var unanswered: String {
        state.withLock { state in
            "\(counted(state.returned, "message")) came back"
                + " and \(state.sent - state.returned) did not"
        }
    }
}
