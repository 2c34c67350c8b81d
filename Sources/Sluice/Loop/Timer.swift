internal import CSluice

/// Names a timer of a loop.
public struct TimerID: Handle {
    /// ``HandleKind/timer``
    public static var kind: HandleKind { .timer }

    /// The name as the C interface has it.
    public let rawValue: UInt64

    /// The name that the C interface has so.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

extension EventLoop {
    /// Adds a timer that gives ``Event/timer(_:)`` when `delay` is over and, where it repeats, each
    /// `interval` after that; intervals that were missed are left out. Never early, in order of
    /// deadline. Both count from ``now``; see ``updateNow()``. One that does not repeat ends with its event.
    ///
    /// A delay of zero or less is over at once; an interval of less than a nanosecond is one.
    ///
    /// - Parameter userWord: comes with each of its events, as ``EventLoop/userWord``.
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

    /// Begins a timer anew: its next event comes when `delay` is over, counted from ``now``. Made
    /// for idle timeouts, which every byte resets.
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
