/// A clock whose sleeps are timers of a loop, and stay on its thread.
///
/// ```swift
/// try await loop.clock.sleep(for: .seconds(1))
/// try await Task.sleep(for: .seconds(1), clock: loop.clock)
/// ```
///
/// It does not advance while the machine sleeps: it is CLOCK_MONOTONIC, as `SuspendingClock` is.
public struct LoopClock: Clock, Sendable {
    /// A point in time.
    public typealias Instant = SuspendingClock.Instant
    /// A length of time.
    public typealias Duration = Swift.Duration

    private let loop: Loop

    /// The clock of a loop.
    public init(_ loop: Loop) {
        self.loop = loop
    }

    /// The current time.
    public var now: Instant { SuspendingClock().now }

    /// One nanosecond.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// Waits until `deadline`. It never returns early.
    ///
    /// - Throws: `CancellationError`, at once.
    public nonisolated(nonsending) func sleep(
        until deadline: Instant, tolerance: Duration? = nil
    ) async throws {
        // The remaining time is computed where the timer is set, because the way there may take
        // time.
        try await loop.sleep(until: deadline)
    }

    /// Waits for a time. It never returns early.
    ///
    /// - Throws: `CancellationError`, at once; ``SluiceError`` if there is no memory for a timer.
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
    /// Runs `body`. If the time is up before `body` returns, the connection's waits end with
    /// ``TimedOut``. After that the connection is as usable as before.
    ///
    /// ```swift
    /// let line = try await connection.withDeadline(.seconds(5)) { try await connection.readLine() }
    /// ```
    ///
    /// Deadlines nest. The first one that is up counts. Use it on the thread of the connection's
    /// loop.
    public func withDeadline<Result>(
        _ time: Duration, isolation: isolated (any Actor)? = #isolation,
        _ body: nonisolated(nonsending) () async throws -> Result
    ) async throws -> Result {
        require(core.isCurrent, Self.onlyOnLoop)
        let deadline = try beginDeadline(time)
        defer { core.perform { [self] in end(deadline) } }
        return try await body()
    }

    /// A connection that has ended has no waits to end, and nobody would cancel the timer.
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
