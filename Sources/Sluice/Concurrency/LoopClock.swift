/// A clock whose sleeps are timers of a loop, and stay on its thread.
///
/// ```swift
/// try await loop.clock.sleep(for: .seconds(1))
/// try await Task.sleep(for: .seconds(1), clock: loop.clock)
/// ```
///
/// It goes on as long as the machine does not sleep: CLOCK_MONOTONIC, as `SuspendingClock`.
public struct LoopClock: Clock, Sendable {
    /// A moment.
    public typealias Instant = SuspendingClock.Instant
    /// A time.
    public typealias Duration = Swift.Duration

    private let loop: Loop

    /// The clock of a loop.
    public init(_ loop: Loop) {
        self.loop = loop
    }

    /// This moment.
    public var now: Instant { SuspendingClock().now }

    /// A nanosecond.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// Waits until `deadline`. Never early.
    ///
    /// - Throws: `CancellationError`, at once.
    public nonisolated(nonsending) func sleep(
        until deadline: Instant, tolerance: Duration? = nil
    ) async throws {
        // How long that is, is seen where the timer is set: the way there may take time.
        try await loop.sleep(until: deadline)
    }

    /// Waits for a time. Never shorter.
    ///
    /// - Throws: `CancellationError`, at once; ``SluiceError`` where there is no memory for a timer.
    public nonisolated(nonsending) func sleep(for duration: Duration) async throws {
        try await loop.sleep(duration)
    }
}

extension Loop {
    fileprivate func sleep(_ duration: Duration) async throws {
        try Task.checkCancellation()
        let alarm = Alarm()
        try alarm.set(core, duration)
        let wasCancelled = await core.parkCancellably(alarm, isolation: self)
        alarm.cancel(core)
        if wasCancelled { throw CancellationError() }
    }

    fileprivate func sleep(until deadline: LoopClock.Instant) async throws {
        try await sleep(clock.now.duration(to: deadline))
    }
}

extension Connection {
    /// Runs `body`, during which the connection's waits end with ``TimedOut`` once the time is up. The
    /// connection is as usable after that as before.
    ///
    /// ```swift
    /// let line = try await connection.withDeadline(.seconds(5)) { try await connection.readLine() }
    /// ```
    ///
    /// Deadlines nest; the first that is up counts. On the thread of the connection's loop.
    public func withDeadline<Result>(
        _ time: Duration, isolation: isolated (any Actor)? = #isolation,
        _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        require(core.isCurrent, Self.onlyOnLoop)
        let deadline = try beginDeadline(time)
        defer { core.perform { [self] in end(deadline) } }
        return try await body()
    }

    /// A connection that has ended has no waits to be ended, and nobody would cancel the timer.
    @discardableResult
    func beginDeadline(_ time: Duration) throws(SluiceError) -> Deadline {
        let deadline = Deadline(self, within: some.deadline)
        if !has(Self.isClosed) { try deadline.set(core, time) }
        some.deadline = deadline
        return deadline
    }

    private func end(_ deadline: Deadline) {
        deadline.cancel(core)
        deadline.isDone = true
        while some.deadline?.isDone == true { some.deadline = some.deadline?.outer }
        if some.deadline?.isOver != true { unsafe obstacles &= ~Self.isExpired }
    }
}
