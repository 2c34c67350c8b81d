// How it works: `next()` pulls, and mutates the loop. `event` borrows the loop to show what was
// pulled, and calls such as `write` borrow it too. So a program that holds an event can use the
// loop, but cannot pull from it.
//
// Why not one `next() -> Event?`: if the same mutating call is made again in a `while` loop, the
// compiler (6.3) takes the exclusive access of the first call to be over. It would let a program
// keep the bytes of one turn into the next, where they are gone. A borrow under another name is
// checked against the pull in every turn. Tests/CompileFailures has the cases. Why not a class: a
// class has no exclusive access that the compiler could check.
//
// What runs for each event is compiled into the program: the pull, the event and the write are
// inlinable, down to the call in C. The C module is imported publicly for this reason only. No
// signature names it.

public import CSluice
private import Glibc

/// A loop that you pull events from. It looks after streams, listeners, timers, signals and
/// watches, and hands out one event after the other.
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
/// There are no callbacks. While you handle an event, you may write, close and add anything, and
/// also close what the event is about. Only the next pull has to wait until you are done with the
/// event: the compiler checks that. If you would rather be called, use ``EventHandler``, or
/// ``run(_:)-((Event,EventLoop)->Void)`` with a closure.
///
/// Keep a loop in a variable of its own, beside your state and not in the same value. While you
/// hold an event, the compiler lets nothing change in the value that the loop is in. Hand the loop
/// on as `borrowing EventLoop`. A variable at the top level of a program is never ended. There, put
/// the loop in a function, or use ``run(_:options:_:)``.
///
/// A loop belongs to the thread that opened it, until another thread calls ``takeOver()``. Other
/// threads may use only a ``Poster`` and a ``Mailbox``. Any other call there is a fault of the
/// program, and ends it with a message.
///
/// A loop ends with its variable, on any thread. Its handles end without an event. What is queued
/// is offered to the kernel once more. The descriptors are closed, except those of watches.
///
/// An event of an existing stream allocates nothing and counts no references.
@safe
public struct EventLoop: ~Copyable {
    @usableFromInline
    let handle: OpaquePointer
    @usableFromInline
    let pulled: UnsafeMutablePointer<Pulled>

    /// Posts words to this loop from any thread, and wakes it.
    public let poster: Poster

    /// What the last pull left, and the state that goes with it.
    @unsafe
    @usableFromInline
    struct Pulled {
        @usableFromInline let handle: OpaquePointer
        @usableFromInline var event = unsafe sluice_event()
        /// Whether the next pull has nothing to do first: no stop, and no rest of frames to hold.
        @usableFromInline var isPlain = true
        var isStopping = false
        @usableFromInline var rest = unsafe Rest()
        /// The stream to resume as soon as the rest of its frames is held, or 0.
        var resuming: UInt64 = 0
        /// For streams with many held bytes: how many of them need not be searched again.
        var searched: [UInt64: Searched] = [:]
        /// The process that opened the loop, or that has it after a fork.
        var process: CInt = getpid()
        /// The tables that are told of streams that have closed.
        var tables: [Listening] = []
        /// The mailboxes. Each may have a word that there was no room to post.
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

        /// Whether the stream is live, or the event pulled last is its last event.
        @usableFromInline
        func hasOrJustHad(_ stream: StreamID) -> Bool {
            unsafe has(stream)
                || HandleKind(of: stream.rawValue) == .stream && event.id == stream.rawValue
        }

        /// Whether the stream is live.
        @usableFromInline
        func has(_ stream: StreamID) -> Bool {
            unsafe sluice_kind_of(handle, stream.rawValue) == CInt(HandleKind.stream.rawValue)
        }
    }

    /// Opens a loop over `backend`. For `nil` it takes the backend that `SLUICE_BACKEND` names in
    /// the environment. If that is unset or empty, it takes the best there is.
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
        // A thread that was about to use the poster at a fork does not exist in the child.
        if unsafe pulled.pointee.process != getpid() { poster.afterFork() }
        // This comes first, so that no post reaches a loop that is ending.
        poster.retire()
        for listening in unsafe pulled.pointee.tables { listening.table?.loopHasEnded() }
        // Nobody else has the loop now, so it may end on any thread.
        _ = unsafe sluice_take_over(handle)
        unsafe sluice_destroy(handle)
        unsafe pulled.deinitialize(count: 1)
        unsafe pulled.deallocate()
    }

    /// Pulls the next event, which ``event`` then shows. First it sends what was written while the
    /// last event was handled. However much data one stream has, it keeps no other stream, timer or
    /// post waiting.
    ///
    /// With a `timeout` of `nil` it waits for ever. With zero or less it looks and does not wait.
    ///
    /// - Returns: whether there is an event. It is false if the time is up, and after ``stop()`` or
    ///   ``Poster/wake()``.
    /// - Complexity: O(1) for each event, plus what the backend's wait costs. No allocation.
    /// - Throws: ``SluiceError/Code/outOfMemory``, ``SluiceError/Code/interrupted`` if
    ///   ``Options/isInterruptible`` asks for it, or an error of the wait. The loop goes on.
    @inlinable
    public mutating func next(timeout: Duration? = nil) throws(SluiceError) -> Bool {
        guard let timeout else { return try pull(.max) }
        return try pull(Self.nanoseconds(timeout))
    }

    /// The event pulled last, or ``Event/nothing``. The compiler makes sure that neither the event
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

    /// Makes the next pull return false, so that ``run(_:)-((Event,EventLoop)->Void)`` returns. The
    /// pull after that goes on. What was written and not sent yet waits for that pull.
    ///
    /// - Complexity: O(1).
    public func stop() {
        unsafe pulled.pointee.isStopping = true
        unsafe pulled.pointee.isPlain = false
    }

    /// The user word of the handle whose event was pulled last, even if the handle has ended with
    /// it.
    ///
    /// - Complexity: O(1).
    public var userWord: UInt64 {
        unsafe pulled.pointee.event.user
    }

    /// The time of the last wait, from which timers count. It is CLOCK_MONOTONIC: the time since
    /// the system started.
    ///
    /// - Complexity: O(1).
    public var now: Duration {
        let nanoseconds = unsafe sluice_now(handle)
        Self.heedThread(SluiceError.Code(rawValue: CInt(clamping: min(0, nanoseconds))))
        return .nanoseconds(nanoseconds)
    }

    /// Reads the clock and makes this moment ``now``. It is for a timer that should count from this
    /// moment and not from the last wait.
    ///
    /// - Complexity: O(1). One system call at most.
    @discardableResult
    public func updateNow() -> Duration {
        .nanoseconds(asked(unsafe sluice_update_now(handle)))
    }

    /// Passes on what C has answered. C refuses these calls only on the wrong thread.
    func asked(_ nanoseconds: Int64) -> Int64 {
        if nanoseconds < 0 {
            Self.heedThread(SluiceError.Code(rawValue: CInt(clamping: nanoseconds)))
        }
        return nanoseconds
    }

    /// Makes the calling thread the loop's. The thread that it belonged to has ended, or does not
    /// use the loop any more. The caller must make sure of that, by a join or a lock. Signals that
    /// are handles are blocked in this thread from now on, and stay blocked in the one before.
    ///
    /// - Complexity: O(1).
    public mutating func takeOver() {
        // C refuses only NULL here.
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

    /// Does what has to be done before a pull, and says whether to pull at all.
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

    /// Out of line, so that a pull that brings an event pays only for a comparison.
    @usableFromInline
    @inline(never)
    mutating func nothingPulled(_ code: CInt, _ timeout: Int64) throws(SluiceError) -> Bool {
        unsafe pulled.pointee.event = unsafe sluice_event()
        try check(code, "pull an event")
        if poster.takeRing(), let word = unpostedWord() {
            unsafe pulled.pointee.event.kind = SLUICE_POSTED.rawValue
            unsafe pulled.pointee.event.value = word
            // There may be other words, and a caller's wake has not been reported yet.
            poster.ring()
            return true
        }
        // A mailbox's wake may come after its word was given. No caller has asked for that wake.
        if poster.takeWake() || timeout != .max { return false }
        return try pull(timeout)
    }

    /// A word that a mailbox had no room to post.
    private func unpostedWord() -> UInt64? {
        for addressee in unsafe pulled.pointee.mailboxes {
            if let word = addressee.mailbox?.takeUnposted() { return word }
        }
        return nil
    }

    /// Makes the loop look into a mailbox.
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

    /// Makes the loop tell a table of streams that have closed.
    func add(_ table: any StreamTable) {
        unsafe pulled.pointee.tables.append(Pulled.Listening(table: table))
    }

    @usableFromInline
    static func nanoseconds(_ timeout: Duration) -> Int64 {
        Optional(timeout).timeoutInNanoseconds
    }
}
