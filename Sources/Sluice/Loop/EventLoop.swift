// How it works: `next()` pulls and mutates the loop, `event` borrows what was pulled from it, and
// all that can be asked of a loop, such as `write`, borrows it too. So while an event is in hand
// the loop can be used but not pulled.
//
// Why not one `next() -> Event?`: the compiler (6.3) takes the exclusive access of a mutating call
// to be over when the same call is made again in a loop, and so lets the bytes of one turn be kept
// into the next, where they are gone. A borrow by another name is held against the pull in every
// turn. Tests/CompileFailures has the cases. And why not a class: it has no exclusive access that
// the compiler could check.
//
// What an event costs is compiled into the program: the pull, the event and the write are inlinable,
// down to the call in C. For that alone the C module is imported publicly; no signature names it.

public import CSluice
private import Glibc

/// A loop that you pull: it looks after streams, listeners, timers, signals and watches, and hands
/// out one event after the other.
///
/// An echo server, with write queues, backpressure and clean-up:
///
/// ```swift
/// var loop = try EventLoop()
/// try loop.listen(on: "localhost:9999")
/// while try loop.next() {
///     if case .data(let stream, let bytes) = loop.event { loop.write(bytes, to: stream) }
/// }
/// ```
///
/// Nothing calls back. While an event is handled, anything may be written, closed or added, also
/// what the event is about; only the next pull has to wait until the event is done with, which the
/// compiler sees to. For a program that would rather be called there is ``EventHandler``, and
/// ``run(_:)-((Event,EventLoop)->Void)`` with a closure.
///
/// Keep a loop in a variable of its own, beside what it serves and not within it, and hand it on as
/// `borrowing EventLoop`: to the compiler, an event that is in hand is in the way of changing
/// anything in the same value. At the top level of a program a variable is never ended. There put the
/// loop in a function, or use ``run(_:options:_:)``.
///
/// A loop belongs to the thread that opened it, until another calls ``takeOver()``. Only a ``Poster``
/// and a ``Mailbox`` may be used elsewhere. Anything else ends the program there with a message, for
/// it is a fault of the program. It ends with its variable, on any thread: handles end without an
/// event, what is queued is offered to the kernel once more, and descriptors are closed, but those of
/// watches.
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

    /// What the last pull left, and what stands beside it.
    @unsafe
    @usableFromInline
    struct Pulled {
        @usableFromInline let handle: OpaquePointer
        @usableFromInline var event = unsafe sluice_event()
        /// Whether nothing is to be done before the next pull: nothing of the two that follow.
        @usableFromInline var isPlain = true
        var isStopping = false
        @usableFromInline var rest = unsafe Rest()
        /// The stream that is to be resumed, once what its frames have left is held; or 0.
        var resuming: UInt64 = 0
        /// What is held and need not be searched again, of streams that were left much.
        var searched: [UInt64: Searched] = [:]
        /// The process that the loop was opened in, or that has it after a fork.
        var process: CInt = getpid()
        /// Those that are told of streams that have closed.
        var tables: [Listening] = []
        /// Those that may have a word that there was no room to post.
        var mailboxes: [Addressee] = []

        struct Addressee {
            weak var mailbox: (any LoopMailbox)?
        }

        struct Listening {
            weak var table: (any StreamTable)?
        }

        init(_ handle: OpaquePointer) {
            unsafe self.handle = handle
        }

        /// Whether the stream lives, or the event in hand is its last.
        @usableFromInline
        func hasOrJustHad(_ stream: StreamID) -> Bool {
            unsafe has(stream)
                || HandleKind(of: stream.rawValue) == .stream && event.id == stream.rawValue
        }

        /// Whether the stream lives.
        @usableFromInline
        func has(_ stream: StreamID) -> Bool {
            unsafe sluice_kind_of(handle, stream.rawValue) == CInt(HandleKind.stream.rawValue)
        }
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
                result, "open loop over", .text(backend?.name ?? Backend.environmentSetting))
        }
        unsafe handle = opened
        unsafe pulled = .allocate(capacity: 1)
        unsafe pulled.initialize(to: Pulled(opened))
        poster = unsafe Poster(opened)
    }

    deinit {
        // Who was about to use it at a fork is not in the child.
        if unsafe pulled.pointee.process != getpid() { poster.afterFork() }
        // First, so that no post finds a loop that is going.
        poster.retire()
        for listening in unsafe pulled.pointee.tables { listening.table?.loopHasEnded() }
        // Whoever has the loop has it alone, so that it may end on any thread.
        _ = unsafe sluice_take_over(handle)
        unsafe sluice_destroy(handle)
        unsafe pulled.deinitialize(count: 1)
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

    /// Makes the next pull return false, whereby ``run(_:)-((Event,EventLoop)->Void)`` returns; the
    /// pull after that goes on.
    /// What was written and not sent yet waits until then.
    ///
    /// - Complexity: O(1).
    public func stop() {
        unsafe pulled.pointee.isStopping = true
        unsafe pulled.pointee.isPlain = false
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
        let nanoseconds = unsafe sluice_now(handle)
        Self.heedThread(SluiceError.Code(rawValue: CInt(clamping: min(0, nanoseconds))))
        return .nanoseconds(nanoseconds)
    }

    /// Reads the clock and makes this moment ``now``, for a timer that is to count from it and not
    /// from the last wait.
    ///
    /// - Complexity: O(1). One system call at most.
    @discardableResult
    public func updateNow() -> Duration {
        .nanoseconds(asked(unsafe sluice_update_now(handle)))
    }

    /// What C has answered, which it refuses on the wrong thread alone.
    func asked(_ nanoseconds: Int64) -> Int64 {
        if nanoseconds < 0 {
            Self.heedThread(SluiceError.Code(rawValue: CInt(clamping: nanoseconds)))
        }
        return nanoseconds
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
        if unsafe pulled.pointee.event.kind == SLUICE_CLOSED.rawValue { forgetClosed() }
        if unsafe pulled.pointee.isPlain || hasPrepared() {
            let result = unsafe sluice_next(handle, &pulled.pointee.event, timeout)
            if result > 0 { return true }
            return try nothingPulled(result, timeout)
        }
        return stopped()
    }

    /// Does what is to be done before a pull, and says whether there is to be one.
    @usableFromInline
    @inline(never)
    mutating func hasPrepared() -> Bool {
        holdRest()
        if unsafe pulled.pointee.resuming != 0 { resumeFramed() }
        let isStopping = unsafe pulled.pointee.isStopping
        unsafe pulled.pointee.isStopping = false
        unsafe pulled.pointee.isPlain = true
        return !isStopping
    }

    @usableFromInline
    @inline(never)
    mutating func stopped() -> Bool {
        unsafe pulled.pointee.event = unsafe sluice_event()
        return false
    }

    /// Out of line, so that a pull that brings an event pays a comparison and no more.
    @usableFromInline
    @inline(never)
    mutating func nothingPulled(_ code: CInt, _ timeout: Int64) throws(SluiceError) -> Bool {
        unsafe pulled.pointee.event = unsafe sluice_event()
        try check(code, "pull an event")
        if poster.takeRing(), let word = unpostedWord() {
            unsafe pulled.pointee.event.kind = SLUICE_POSTED.rawValue
            unsafe pulled.pointee.event.value = word
            // There may be others, and a caller's wake is still to be told.
            poster.ring()
            return true
        }
        // A mailbox's wake may come after its word was given: that is nobody's.
        if poster.takeWake() || timeout != .max { return false }
        return try pull(timeout)
    }

    /// What a mailbox had no room to post.
    private func unpostedWord() -> UInt64? {
        for addressee in unsafe pulled.pointee.mailboxes {
            if let word = addressee.mailbox?.takeUnposted() { return word }
        }
        return nil
    }

    /// Has a mailbox looked into.
    func add(_ mailbox: any LoopMailbox) {
        unsafe pulled.pointee.mailboxes.removeAll { $0.mailbox == nil }
        unsafe pulled.pointee.mailboxes.append(Pulled.Addressee(mailbox: mailbox))
    }

    @usableFromInline
    @inline(never)
    mutating func forgetClosed() {
        if unsafe !pulled.pointee.searched.isEmpty {
            unsafe pulled.pointee.searched[pulled.pointee.event.id] = nil
        }
        guard unsafe !pulled.pointee.tables.isEmpty else { return }
        let stream = unsafe StreamID(rawValue: pulled.pointee.event.id)
        unsafe pulled.pointee.tables.removeAll { $0.table == nil }
        for listening in unsafe pulled.pointee.tables { listening.table?.forget(stream) }
    }

    /// Has a table told of streams that have closed.
    func add(_ table: any StreamTable) {
        unsafe pulled.pointee.tables.append(Pulled.Listening(table: table))
    }

    @usableFromInline
    static func nanoseconds(_ timeout: Duration) -> Int64 {
        Optional(timeout).timeoutInNanoseconds
    }
}
