internal import CSluice

/// The id of a timer of a loop.
public struct TimerID: Handle {
    /// ``HandleKind/timer``
    public static var kind: HandleKind { .timer }

    /// The id's number in the C interface.
    public let rawValue: UInt64

    /// The id that has this number in the C interface.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

extension EventLoop {
    /// Adds a timer that gives ``Event/timer(_:)`` when `delay` is over. If there is an `interval`,
    /// it gives one after each further `interval`. Intervals that were missed are left out. An
    /// event never comes early, and timers come in the order of their deadlines. `delay` and
    /// `interval` count from ``now``; see ``updateNow()``. A timer that does not repeat ends with
    /// its event.
    ///
    /// A delay of zero or less is over at once. An interval of less than a nanosecond counts as
    /// one.
    ///
    /// - Parameter userWord: the word that comes with each of the timer's events, as
    ///   ``EventLoop/userWord``.
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/outOfMemory``, ``SluiceError/Code/full``.
    @discardableResult
    public func addTimer(
        after delay: Duration, every interval: Duration? = nil, userWord: UInt64 = 0
    ) throws(SluiceError) -> TimerID {
        var id: UInt64 = 0
        let code = unsafe sluice_timer(
            handle, &id, Self.nanoseconds(delay),
            interval.map { max(1, Self.nanoseconds($0)) } ?? 0, userWord)
        try check(code, "add timer")
        return TimerID(rawValue: id)
    }

    /// Starts a timer again: its next event comes when `delay` is over, counted from ``now``. This
    /// is made for idle timeouts, which every byte resets.
    ///
    /// - Returns: whether the timer was there.
    /// - Complexity: O(1).
    @discardableResult
    public func reset(_ timer: TimerID, after delay: Duration) -> Bool {
        isDone(
            unsafe sluice_timer_reset(handle, timer.rawValue, Self.nanoseconds(delay)),
            timer.rawValue)
    }
}
