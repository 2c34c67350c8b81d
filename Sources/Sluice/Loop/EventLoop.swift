// How it works: `next()` pulls and mutates the loop, `event` borrows what was pulled from it, and
// all that can be asked of a loop, such as `write`, borrows it too. So while an event is in hand
// the loop can be used but not pulled.
//
// Why not one `next() -> Event?`: the compiler (6.3) takes the exclusive access of a mutating call
// to be over when the same call is made again in a loop, and so lets the bytes of one turn be kept
// into the next, where they are gone. A borrow by another name is held against the pull in every
// turn. Tests/CompileFailures has the cases. And why not a class: it has no exclusive access that
// the compiler could check. Who needs a reference keeps the loop in a class of his own.

// What an event costs is compiled into the program: the pull, the event and the write are inlinable,
// down to the call in C. For that alone the C module is imported publicly; no signature names it.

public import CSluice

/// A loop that you pull: it looks after streams, listeners, timers, signals and watches, and hands
/// out one event after the other.
///
/// An echo server, with write queues, backpressure and clean-up:
///
/// ```swift
/// var loop = try EventLoop()
/// try loop.listen(on: "127.0.0.1:9999")
/// while try loop.next() {
///     if case .data(let stream, let bytes) = loop.event { try loop.write(bytes, to: stream) }
/// }
/// ```
///
/// Nothing calls back. While an event is handled, anything may be written, closed or added, also
/// what the event is about; only the next pull has to wait until the event is done with, which the
/// compiler sees to. For a program that would rather be called there is ``run(_:)``.
///
/// Keep a loop in a variable of its own, beside what it serves and not within it, and hand it on as
/// `borrowing EventLoop`: to the compiler, an event that is in hand is in the way of changing
/// anything in the same value.
///
/// A loop belongs to the thread that opened it, and everything but a ``Poster`` is refused on
/// another with ``SluiceError/Code/wrongThread``, until that thread calls ``takeOver()``. It ends
/// with its variable: handles end without an event, what is queued is offered to the kernel once
/// more, and descriptors are closed, but those of watches. One that ends on a thread that has not taken it over is not freed.
///
/// An event of a stream that exists allocates nothing and counts no references.
@safe
public struct EventLoop: ~Copyable {
    @usableFromInline
    let handle: OpaquePointer
    @usableFromInline
    let pulled: UnsafeMutablePointer<Pulled>

    /// Posts words to this loop from any thread, and wakes it.
    public let poster: Poster

    /// What the last pull left.
    @unsafe
    @usableFromInline
    struct Pulled {
        @usableFromInline var event = unsafe sluice_event()
        @usableFromInline var isStopping = false

        init() {}
    }

    /// Opens a loop over `backend` or, for `nil`, over the one that `SLUICE_BACKEND` names in the
    /// environment, or the best there is.
    ///
    /// - Throws: ``SluiceError/Code/unknownBackend``, ``SluiceError/Code/badOption``,
    ///   ``SluiceError/Code/outOfMemory`` or an errno.
    public init(
        _ backend: Backend? = nil, options: Options = Options()
    ) throws(SluiceError) {
        Backend.registration
        var opened: OpaquePointer?
        let result = try unsafe options.withC(backend) { unsafe sluice_open(&opened, $0) }
        guard let opened = unsafe opened else {
            throw SluiceError(
                result, "open loop over", backend?.name ?? Backend.environmentSetting)
        }
        unsafe handle = opened
        unsafe pulled = .allocate(capacity: 1)
        unsafe pulled.initialize(to: Pulled())
        poster = unsafe Poster(opened)
    }

    deinit {
        // First, so that no post finds a loop that is going.
        poster.retire()
        unsafe sluice_destroy(handle)
        unsafe pulled.deallocate()
    }

    /// Pulls the next event, which is then ``event``. What was written while the last one was
    /// handled is sent first. One stream's data, however much, does not keep others, timers or
    /// posts waiting.
    ///
    /// A `timeout` of `nil` waits for ever; one of zero or less looks and does not wait.
    ///
    /// - Returns: whether there is one: not when the time is up, and not after ``stop()`` or
    ///   ``Poster/wake()``.
    /// - Complexity: O(1) for each event, beside what the backend's wait costs. No allocation.
    /// - Throws: ``SluiceError/Code/outOfMemory``, ``SluiceError/Code/interrupted`` where
    ///   ``Options/isInterruptible`` asks for it, or what a wait gives; the loop goes on.
    @inlinable
    public mutating func next(timeout: Duration? = nil) throws(SluiceError) -> Bool {
        guard let timeout else { return try pull(.max) }
        return try pull(Self.nanoseconds(timeout))
    }

    /// The event pulled last, or ``Event/nothing``. The compiler sees to it that neither the event
    /// nor its bytes are kept past the next pull.
    ///
    /// - Complexity: O(1), no allocation.
    @inlinable
    public var event: Event {
        @_lifetime(borrow self)
        @inline(__always)
        get {
            unsafe _overrideLifetime(Event(&pulled.pointee.event), borrowing: self)
        }
    }

    /// Pulls events until ``stop()`` or ``Poster/wake()``, and hands each to `handler`, with the loop
    /// as it may be used meanwhile: everything but pulling.
    ///
    /// ```swift
    /// try loop.run { event, loop in
    ///     if case .data(let stream, let bytes) = event { try loop.write(bytes, to: stream) }
    /// }
    /// ```
    ///
    /// - Throws: what ``next(timeout:)`` throws, and what the handler does.
    @inlinable
    public mutating func run(
        _ handler: (Event, borrowing EventLoop) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        while try next() { try handler(event, self) }
    }

    /// Pulls events until ``stop()`` or ``Poster/wake()``, and hands each to a handler that may throw
    /// errors of its own.
    ///
    /// - Throws: what ``next(timeout:)`` throws, and what the handler does.
    @inlinable
    public mutating func run(
        _ handler: (Event, borrowing EventLoop) throws -> Void
    ) throws {
        while try next() { try handler(event, self) }
    }

    /// Makes the next pull return false, whereby ``run(_:)`` returns; the pull after that goes on.
    /// What was written and not sent yet waits until then.
    ///
    /// - Complexity: O(1).
    public func stop() {
        unsafe pulled.pointee.isStopping = true
    }

    /// The user word of the handle whose event was pulled last; also where that has ended with it.
    ///
    /// - Complexity: O(1).
    public var userWord: UInt64 {
        unsafe pulled.pointee.event.user
    }

    /// The time of the last wait, from which timers count: CLOCK_MONOTONIC, since the system came
    /// up.
    ///
    /// - Complexity: O(1).
    public var now: Duration {
        .nanoseconds(unsafe sluice_now(handle))
    }

    /// Reads the clock and makes this moment ``now``, for a timer that is to count from it and not
    /// from the last wait.
    ///
    /// - Complexity: O(1). One system call at most.
    /// - Throws: ``SluiceError/Code/wrongThread``.
    @discardableResult
    public func updateNow() throws(SluiceError) -> Duration {
        let nanoseconds = unsafe sluice_update_now(handle)
        guard nanoseconds >= 0 else { throw SluiceError(CInt(nanoseconds), "read the clock") }
        return .nanoseconds(nanoseconds)
    }

    /// Makes the calling thread the loop's. The thread that it belonged to has ended or makes no call
    /// of it any more, and that is known to this thread, as by a join or a lock. Signals that are
    /// handles are blocked in this thread from now on, and stay blocked in the other.
    ///
    /// - Complexity: O(1).
    public mutating func takeOver() {
        // It refuses nothing but NULL.
        _ = unsafe sluice_take_over(handle)
    }

    @inlinable
    @inline(__always)
    mutating func pull(_ timeout: Int64) throws(SluiceError) -> Bool {
        if unsafe !pulled.pointee.isStopping {
            let result = unsafe sluice_next(handle, &pulled.pointee.event, timeout)
            if result > 0 { return true }
            return try nothingPulled(result)
        }
        return try nothingPulled(0)
    }

    /// Out of line, so that a pull that brings an event pays a comparison and no more.
    @usableFromInline
    @inline(never)
    mutating func nothingPulled(_ code: CInt) throws(SluiceError) -> Bool {
        unsafe pulled.pointee = Pulled()
        if code < 0 { throw SluiceError(code, "pull an event") }
        return false
    }

    @usableFromInline
    static func nanoseconds(_ timeout: Duration) -> Int64 {
        Optional(timeout).timeoutInNanoseconds
    }
}
