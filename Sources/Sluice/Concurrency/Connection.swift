internal import CSluice
private import Glibc
public import Synchronization

/// A connection of a loop, for structured concurrency.
///
/// ```swift
/// try await Server.run(on: "localhost:9999") { connection in
///     while let line = try await connection.readLine() {
///         try await connection.write("you said: \(line)\n")
///     }
/// }
/// ```
///
/// At most one task reads at a time, and at most one writes. They may be two tasks. A connection
/// may be used from anywhere. On its loop's thread its calls are direct. From elsewhere they travel
/// there.
///
/// A read gives the bytes that are there before it reports an end. After the peer's end it returns
/// `nil`, and so does every later read. After an error it throws what went wrong. If its task is
/// cancelled, a wait ends with `CancellationError`. Bytes that came and were not taken stay for the
/// next read.
///
/// Whoever made the connection, ``Server`` or ``Client``, closes it when the handler is done. If
/// the handler returns, the connection is closed in order. If the handler throws or was cancelled,
/// the connection is closed at once. A close in order sends what is queued and then waits for the
/// peer's own end, for ``StreamOptions/lingerTime`` at most.
@safe
public final class Connection: Waiter, @unchecked Sendable {
    // Sendable: all that changes belongs to the loop's thread, and each call makes sure to be
    // there.

    /// Why a read cannot wait in the short way. 0 if it can.
    @exclusivity(unchecked) @usableFromInline var obstacles: UInt16 = 0
    @exclusivity(unchecked) private var error: CInt = 0
    /// The number of the read that lent the bytes. Other threads may ask for it.
    @usableFromInline let reads = Atomic<UInt32>(0)

    /// The loop on whose thread the connection lives.
    public var loop: Loop {
        switch owner {
        case .server(let acceptor): acceptor.loop
        case .client(let loop): loop
        }
    }
    @usableFromInline let core: Core
    @usableFromInline let id: UInt64

    /// The bytes that came and were not taken. They lie in the loop's buffer, or in `more`.
    @exclusivity(unchecked) @usableFromInline var bytes: UnsafePointer<UInt8>?
    @exclusivity(unchecked) @usableFromInline var count = 0
    /// How many of these bytes are lent until the next read.
    @exclusivity(unchecked) @usableFromInline var lent = 0
    /// The task that runs the connection's handler. Its cancellation ends the connection's waits,
    /// without a cancellation handler for each wait. It is compared, and never used otherwise.
    @exclusivity(unchecked) var homeTask: UnsafeCurrentTask?
    @exclusivity(unchecked) var more: More?
    /// Who made the connection.
    private let owner: Owner
    /// The task that runs the connection's handler.
    @exclusivity(unchecked) var task: Task<Void, Never>?

    // The obstacles.
    @usableFromInline static let atEnd: UInt16 = 1
    @usableFromInline static let isClosed: UInt16 = 2
    @usableFromInline static let isPaused: UInt16 = 4
    @usableFromInline static let isCancelled: UInt16 = 8
    @usableFromInline static let isExpired: UInt16 = 16
    /// The bytes are in `more`.
    @usableFromInline static let hasMore: UInt16 = 32
    static let isConnecting: UInt16 = 64
    static let isShuttingDown: UInt16 = 128
    /// No handler has been started yet.
    static let isUnstarted: UInt16 = 256
    /// Each wait has a limit.
    static let isLimited: UInt16 = 512
    /// The task that uses this half is cancelled.
    static let isReadCancelled: UInt16 = 1024
    static let isWriteCancelled: UInt16 = 2048
    /// The last bytes were lent, and none of them were consumed. So the next read waits for more.
    @usableFromInline static let isUntouched: UInt16 = 4096
    /// The connection's handler has returned, and the loop is ending the connection.
    static let isReturned: UInt16 = 8192

    /// State that few connections have.
    @safe
    final class More {
        /// The name of one of the loop's receive buffers, which is kept.
        var kept: UnsafeMutableRawPointer?
        /// Bytes of several receives. The first `taken` of them are no longer needed.
        var gathered: [UInt8] = []
        var taken = 0
        let writer = Waiter()
        var closing: Waiter?
        /// Connections that are being forwarded to this one.
        var sources: [Connection] = []
        var deadline: Deadline?
        /// Why the name of the peer has no address.
        var nameProblem: String?
        /// The peer's address, for a log that needs it after the end.
        var peer: Address?
        var readLimit: Duration?
        var writeLimit: Duration?
        var readHome: Home?
        var writeHome: Home?
        /// How many homes there have been.
        var homes: UInt64 = 0
        /// Where the lent bytes were before they were joined with more.
        var lent: [UInt8] = []
    }

    var some: More {
        if let more = unsafe more { return more }
        let new = More()
        unsafe more = new
        return new
    }

    /// Who made a connection. This is one word, with one reference to count.
    enum Owner {
        /// The acceptor that let the connection in.
        case server(Acceptor)
        case client(Loop)
    }

    var acceptor: Acceptor? {
        if case .server(let acceptor) = owner { acceptor } else { nil }
    }

    init(_ owner: Owner, _ stream: StreamID, _ core: Core) {
        self.owner = owner
        self.core = core
        id = stream.rawValue
        super.init()
        unsafe core.loop.setUserWord(Unmanaged<Connection>.retainedWord(self), of: stream)
        unsafe core.living += 1
    }

    var stream: StreamID { StreamID(rawValue: id) }

    @inline(__always)
    func has(_ flags: UInt16) -> Bool { unsafe obstacles & flags != 0 }

    /// Whether the server of this connection is ending. If so, a loop over requests may stop after
    /// the current one.
    public var isShuttingDown: Bool {
        require(core.isCurrent, Self.onlyOnLoop)
        return has(Self.isShuttingDown)
    }

    /// The peer's address; `nil` if the connection has ended.
    public var peerAddress: Address? {
        require(core.isCurrent, Self.onlyOnLoop)
        return core.loop.peerAddress(of: stream)
    }

    /// The local address; `nil` if the connection has ended.
    public var localAddress: Address? {
        require(core.isCurrent, Self.onlyOnLoop)
        return core.loop.localAddress(of: stream)
    }

    @usableFromInline static var onlyOnLoop: String {
        "this is to be asked on the thread of the connection's loop: within its handler, or loop.run"
    }

    // MARK: Events

    @inline(__always)
    func received(_ bytes: UnsafeRawPointer, _ count: Int) {
        if has(Self.hasMore) {
            unsafe gather(bytes, count)
        } else {
            unsafe self.bytes = bytes.assumingMemoryBound(to: UInt8.self)
            unsafe self.count = count
        }
        if let job = unsafe job {
            unsafe self.job = nil
            unsafe number &+= 1
            unsafe core.homeNow = home
            core.runNow(job, isGeneric: unsafe isGeneric)
            core.drain()
        }
        if unsafe self.count > 0 || job == nil { setAside() }
    }

    /// The loop is about to go on. Either the bytes were not taken, or nobody waits for more.
    @inline(never)
    private func setAside() {
        if has(Self.isClosed) { return }
        if unsafe count > 0 && !has(Self.hasMore) { keep() }
        if unsafe job == nil && !has(Self.isPaused) {
            unsafe obstacles |= Self.isPaused
            core.loop.pause(stream)
        }
        if has(Self.isUnstarted) { start() }
    }

    /// Keeps the bytes after the event: in the buffer where they lie, or else as a copy.
    private func keep() {
        var kept: UnsafeMutableRawPointer?
        if unsafe sluice_keep(core.handle, id, &kept) == 0 {
            unsafe some.kept = kept
            unsafe obstacles |= Self.hasMore
            return
        }
        let length = unsafe count
        unsafe count = 0
        unsafe gather(bytes.unsafelyUnwrapped, length)
    }

    /// Appends to the bytes that were not taken.
    @inline(never)
    func gather(_ new: UnsafeRawPointer, _ length: Int) {
        core.moves.withLock { _ in unsafe append(new, length) }
    }

    private func append(_ new: UnsafeRawPointer, _ length: Int) {
        let some = some
        if unsafe some.gathered.isEmpty || count == 0 {
            var all = [UInt8]()
            all.reserveCapacity(unsafe (count + length) * 2)
            unsafe all.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
            some.gathered = all
            some.taken = 0
            // Lent bytes stay where they are until the next read.
            if unsafe lent == 0 { giveBackKept() }
        } else if unsafe lent > 0 {
            // Lent bytes are never moved.
            some.lent = some.gathered
            unsafe some.gathered = Array(waiting)
            some.taken = 0
        } else if some.taken > 0 {
            some.gathered.removeFirst(some.taken)
            some.taken = 0
        }
        unsafe some.gathered.append(contentsOf: UnsafeRawBufferPointer(start: new, count: length))
        // Nobody touches the array until the next append.
        unsafe some.gathered.withUnsafeBufferPointer { unsafe bytes = $0.baseAddress }
        unsafe count = some.gathered.count
        unsafe obstacles |= Self.hasMore
    }

    private func giveBackKept() {
        guard let more = unsafe more, let kept = unsafe more.kept else { return }
        unsafe more.kept = nil
        _ = unsafe sluice_return(core.handle, kept)
    }

    /// All that was set aside has been taken.
    func dropMore() {
        core.moves.withLock { _ in
            giveBackKept()
            guard let more = unsafe more else { return }
            more.gathered = []
            more.lent = []
            more.taken = 0
        }
        unsafe obstacles &= ~Self.hasMore
    }

    func connected() {
        unsafe obstacles &= ~Self.isConnecting
        wake(core)
    }

    func ended() {
        unsafe obstacles |= Self.atEnd
        wake(core)
        if has(Self.isUnstarted) { start() }
    }

    func drained() {
        unsafe more?.writer.wake(core)
    }

    func closed(_ error: CInt, inputEnded: Bool) {
        // If the connection was not read from, only this event tells of its peer's end.
        unsafe obstacles |= inputEnded ? Self.isClosed | Self.atEnd : Self.isClosed
        unsafe self.error = error
        unsafe core.living -= 1
        if error == SLUICE_ENAME.rawValue {
            // The loop knows the problem until another name turns out to have no address.
            some.nameProblem = core.loop.nameProblem(of: stream)
        }
        wakeAll()
        unsafe more?.closing?.wake(core)
        for source in unsafe more?.sources ?? [] { source.wake(core) }
        unsafe more?.deadline?.cancelAll(core)
        acceptor?.hasEnded(self)
        // Gives back the loop's reference: no event follows.
        unsafe Unmanaged.passUnretained(self).release()
    }

    private func start() {
        unsafe obstacles &= ~Self.isUnstarted
        acceptor?.start(self)
    }

    // MARK: What ends waits

    private func wakeAll() {
        wake(core)
        unsafe more?.writer.wake(core)
    }

    func cancel() {
        unsafe obstacles |= Self.isCancelled
        wakeAll()
    }

    func shutDown() {
        unsafe obstacles |= Self.isShuttingDown
        // If the kernel has something, that will end the wait.
        if !isReadable { wake(core) }
    }

    /// Whether the kernel has bytes, an end or an error to give. A server that shuts down asks
    /// this, so that what was sent before is not lost, such as the rest of a request.
    var isReadable: Bool {
        let descriptor = unsafe sluice_fd(core.handle, id)
        guard descriptor >= 0 else { return false }
        var byte: UInt8 = 0
        let flags = CInt(MSG_PEEK | MSG_DONTWAIT)
        while unsafe recv(descriptor, &byte, 1, flags) < 0 {
            if errno != EINTR { return errno != EAGAIN }
        }
        return true
    }

    func expire() {
        unsafe obstacles |= Self.isExpired
        wakeAll()
    }

    /// What a wait without bytes has come to: false at the end of the stream. Otherwise it throws
    /// the reason.
    @usableFromInline
    @inline(never)
    func finished() throws -> Bool {
        if has(Self.isCancelled | Self.isReadCancelled) { throw CancellationError() }
        if has(Self.isExpired) { throw TimedOut() }
        // An error after the peer's end takes nothing back.
        if has(Self.atEnd) { return false }
        if unsafe has(Self.isClosed) && error < 0 { throw failure }
        return false
    }

    /// Why the connection has ended. A write after an end in order is told of a broken pipe.
    var failure: SluiceError {
        let code = unsafe error < 0 ? error : -EPIPE
        return SluiceError(code, "use connection", .handle(.stream, id))
    }

    /// Why the connection has ended; `nil` if it ended in order.
    var reason: SluiceError? { unsafe error < 0 ? failure : nil }

    // MARK: Homes

    /// Whether the running task is known to be a home of the reads. If that is not known,
    /// `findHome` finds it out.
    @inlinable
    @inline(__always)
    var isHome: Bool {
        unsafe core.homeNow?.toOpaque() == Unmanaged.passUnretained(self).toOpaque()
    }

    /// Whether a cancellation of the running task reaches the connection's waits without a handler.
    @inline(never)
    func findHome(ofWrites: Bool) -> Bool {
        if isHome && !ofWrites { return true }
        return unsafe withUnsafeCurrentTask { task in
            guard let task = unsafe task else { return false }
            if unsafe task == homeTask {
                unsafe core.homeNow = .passUnretained(self)
                return true
            }
            guard let more = unsafe more else { return false }
            if ofWrites { return unsafe task == more.writeHome?.task }
            guard unsafe task == more.readHome?.task else { return false }
            unsafe core.homeNow = .passUnretained(self)
            return true
        }
    }

    // MARK: The end

    /// Ends the connection at once. Its waits throw, and what is queued is dropped. Over TCP the
    /// peer sees a reset (RST), so that what it has received does not look whole.
    public func abort() {
        core.perform { [self] in
            if !has(Self.isClosed) { core.loop.abort(stream, because: Self.unfinished) }
        }
    }

    /// Makes the loop end the connection, unless it has ended.
    func beginEnd(inOrder: Bool) {
        beginRead()
        dropMore()
        unsafe count = 0
        unsafe lent = 0
        if has(Self.isClosed) { return }
        core.loop.resume(stream)
        if inOrder {
            core.loop.close(stream)
        } else {
            core.loop.abort(stream, because: Self.unfinished)
        }
    }

    /// The reason of an abort. With any reason the peer sees a reset.
    private static var unfinished: SluiceError.Code { SluiceError.Code(rawValue: -ECANCELED) }

    /// Ends the connection, in order or at once, and waits until the loop is done with it. The
    /// linger time bounds this wait, and no cancellation ends it.
    func finish(inOrder: Bool) async {
        beginEnd(inOrder: inOrder)
        if has(Self.isClosed) { return }
        let waiter = Waiter()
        some.closing = waiter
        await core.park(waiter)
    }
}

/// A deadline of a connection's waits, alone or within another deadline.
final class Deadline: Alarm, @unchecked Sendable {
    private unowned let connection: Connection
    let outer: Deadline?

    init(_ connection: Connection, within outer: Deadline?) {
        self.connection = connection
        self.outer = outer
    }

    override func fire(_ core: Core, _ flags: UInt32) {
        super.fire(core, flags)
        connection.expire()
    }

    /// Cancels this deadline and those around it.
    func cancelAll(_ core: Core) {
        cancel(core)
        outer?.cancelAll(core)
    }

    /// Whether the call with this deadline has returned. Two tasks may have deadlines at once, and
    /// the one that began first may be done first.
    var isDone = false

    /// Whether this deadline, or one around it, is over.
    var isOver: Bool { hasFired && !isDone || outer?.isOver == true }
}
