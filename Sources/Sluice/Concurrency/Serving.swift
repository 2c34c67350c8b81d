// What a server does on one loop: it lets callers in, has a task for each, and brings all of them to
// an end.
//
// The tasks are of nobody's group, for two reasons. A cancellation of the server is to bring its
// handlers to an end as the options say, and not to cancel them all at once. And the runtime (6.3)
// looks for a preferred executor at each switch of a group's child, also where there is none.
// So they are counted, and whoever serves waits until none is left.

private import Glibc

/// A listener of a loop, and the connections that it has let in. All of it belongs to the loop's
/// thread, but for `stop`.
@safe
final class Acceptor: Waiter, @unchecked Sendable {
    let loop: Loop
    private let core: Core
    let limits: Limits
    let handler: Server.Handler
    let address: Address
    private let listener: ListenerID

    /// Those that have not ended, by their slots. They say so before they go.
    @exclusivity(unchecked) private var living: [Unmanaged<Connection>?] = unsafe []
    /// How many connections have a handler that has not returned, or have not ended after it.
    @exclusivity(unchecked) private var running = 0
    /// How the server is ending; `nil` while it serves.
    private var shutdown: Server.Shutdown?
    private var grace: WaitLimit?

    /// What the options say of a connection, and of the end.
    // In an object of its own: a task's frame that held the options would be too large for its slab.
    final class Limits: Sendable {
        let startsHandler: Server.Start
        let readLimit: Duration?
        let writeLimit: Duration?
        let connectionLimit: Duration?
        let onShutdown: Server.Shutdown
        let gracePeriod: Duration
        let onError: @Sendable (Connection, any Error) -> Void
        let log: ServerLog?

        init(_ options: Server.Options) {
            startsHandler = options.startsHandler
            readLimit = options.readLimit
            writeLimit = options.writeLimit
            connectionLimit = options.connectionLimit
            onShutdown = options.onShutdown
            gracePeriod = options.gracePeriod
            onError = options.onError
            log = options.log
        }
    }

    /// On the loop's thread.
    init(
        _ loop: Loop, _ options: Server.Options, _ handler: @escaping Server.Handler,
        _ listen: (borrowing EventLoop, ListenerOptions) throws(SluiceError) -> ListenerID
    ) throws(SluiceError) {
        self.loop = loop
        core = loop.core
        limits = Limits(options)
        self.handler = handler
        var listening = options.listener
        listening.streams.staysHalfOpen = true
        listening.streams.isThrottled = false
        listener = try listen(core.loop, listening)
        address = try core.loop.localAddress(of: listener)
        super.init()
        unsafe core.loop.setUserWord(Unmanaged<Acceptor>.retainedWord(self), of: listener)
        unsafe core.living += 1
        #if DEBUG
            core.watchdog.log = limits.log
        #endif
    }

    // MARK: Connections

    func accepted(_ stream: StreamID) {
        let connection = Connection(.server(self), stream, core)
        let slot = stream.slot
        while unsafe slot >= living.count { unsafe living.append(nil) }
        unsafe living[slot] = Unmanaged.passUnretained(connection)
        limits.log?.accepted(connection)
        if limits.startsHandler == .onFirstBytes {
            unsafe connection.obstacles |= Connection.isUnstarted
        } else {
            start(connection)
        }
    }

    /// Has a connection's handler begin soon.
    func start(_ connection: Connection) {
        unsafe running += 1
        loop.start(connection)
    }

    /// A handler has returned. Its task does not wait for the end of the connection: that would be a
    /// wait more, and its memory.
    func hasReturned(_ connection: Connection) {
        unsafe connection.task = nil
        if connection.has(Connection.isClosed) {
            isDone()
        } else {
            unsafe connection.obstacles |= Connection.isReturned
        }
    }

    func hasEnded(_ connection: Connection) {
        unsafe living[connection.stream.slot] = nil
        limits.log?.ended(connection)
        if connection.has(Connection.isReturned) { isDone() }
    }

    /// A connection has ended, and its handler returned.
    private func isDone() {
        unsafe running -= 1
        if unsafe running == 0 { wake(core) }
    }

    /// The listener has stopped to accept, and goes on by itself.
    func isOverloaded(_ code: CInt) {
        limits.log?.isOverloaded(SluiceError.Code(rawValue: code))
    }

    private func forEachLiving(_ body: (Connection) -> Void) {
        for slot in unsafe living.indices {
            if let connection = unsafe living[slot]?.takeUnretainedValue() { body(connection) }
        }
    }

    // MARK: The end

    /// Waits until it has been stopped, and all handlers have returned.
    nonisolated(nonsending) func serve() async {
        while unsafe shutdown == nil || running > 0 { await core.park(self) }
        grace?.cancel(core)
        // It refers to this.
        grace = nil
    }

    /// Brings the server to its end, from any thread. What comes second cancels what is left.
    func stop() {
        core.perform { self.stopNow() }
    }

    private func stopNow() {
        guard shutdown == nil else { return endRest() }
        shutdown = limits.onShutdown
        core.loop.close(listener)
        unsafe core.living -= 1
        // Those who have said nothing yet, and have no handler, just end.
        forEachLiving { connection in
            if connection.has(Connection.isUnstarted) {
                unsafe connection.obstacles &= ~Connection.isUnstarted
                core.loop.close(connection.stream)
            } else if shutdown == .endInput {
                connection.shutDown()
            }
        }
        if shutdown == .cancel { cancelRest() }
        beginGrace()
        wake(core)
        // The listener's reference: it gives no more events.
        unsafe Unmanaged.passUnretained(self).release()
    }

    private func beginGrace() {
        let grace = Grace(self)
        do {
            try grace.set(core, limits.gracePeriod)
            self.grace = grace
        } catch {
            endRest()  // without a timer it would never end
        }
    }

    fileprivate func graceIsOver() {
        unsafe limits.log?.graceIsOver(running)
        endRest()
    }

    private func cancelRest() {
        forEachLiving { $0.cancelTask() }
    }

    /// The same, and aborts connections whose handlers have returned and whose peers do not end.
    private func endRest() {
        forEachLiving { connection in
            connection.cancelTask()
            if connection.has(Connection.isReturned) { core.loop.abort(connection.stream) }
        }
    }
}

/// How long handlers may go on after a server was stopped.
private final class Grace: WaitLimit, @unchecked Sendable {
    private let acceptor: Acceptor

    init(_ acceptor: Acceptor) {
        self.acceptor = acceptor
        super.init(acceptor)
    }

    override func fire(_ core: Core, _ flags: UInt32) {
        acceptor.graceIsOver()
        super.fire(core, flags)
    }
}

extension Loop {
    fileprivate nonisolated func start(_ connection: Connection) {
        unsafe core.starting.append(connection)
        // What assumeIsolated does, without its question, which costs 1,400 instructions: only the
        // loop's thread starts a connection.
        typealias Start = (Loop) -> Task<Void, Never>
        let start = unsafe unsafeBitCast(Self.startIsolated, to: Start.self)
        unsafe connection.task = start(self)
    }

    private static let startIsolated: @Sendable (isolated Loop) -> Task<Void, Never> = { loop in
        // Isolated to this actor, or it would begin on the global pool. It captures this alone, and
        // so needs no memory for what it captures.
        if let preference = loop.preference {
            Task(executorPreference: preference) { await loop.handleNext() }
        } else {
            Task { await loop.handleNext() }
        }
    }

    /// Runs the handler of the connection whose turn it is, and ends the connection.
    private func handleNext() async {
        // Tasks begin in the order in which they were started.
        let connection = unsafe core.starting.removeFirst()
        guard let acceptor = connection.acceptor else { return }
        connection.limit(acceptor.limits)
        connection.beginHome()
        var isInOrder = true
        do {
            try await acceptor.handler(connection)
            connection.endHome()
        } catch {
            connection.endHome()
            isInOrder = false
            acceptor.limits.log?.threw(error, connection)
            acceptor.limits.onError(connection, error)
        }
        connection.beginEnd(inOrder: isInOrder && !connection.has(Connection.isCancelled))
        acceptor.hasReturned(connection)
    }

    fileprivate func accept(
        _ options: Server.Options, _ handler: @escaping Server.Handler,
        _ listen: @Sendable (borrowing EventLoop, ListenerOptions) throws(SluiceError) -> ListenerID
    ) throws(SluiceError) -> Acceptor {
        try Acceptor(self, options, handler, listen)
    }

    fileprivate func serve(_ acceptor: Acceptor) async {
        await acceptor.serve()
    }

    /// Runs `body` on the loop's thread. The server waits for it, and so it is nobody's child.
    fileprivate nonisolated func begin(
        _ body: nonisolated(nonsending) @escaping @Sendable (Loop) async -> Void
    ) -> Task<Void, Never> {
        Task(executorPreference: preference) { await self.run { await body(self) } }
    }
}

extension Connection {
    /// Makes the running task the connection's home.
    func beginHome() {
        unsafe withUnsafeCurrentTask { unsafe homeTask = $0 }
        unsafe core.homeNow = .passUnretained(self)
        #if DEBUG
            core.watchdog.isRunning(self)
        #endif
    }

    func endHome() {
        unsafe homeTask = nil
        unsafe core.homeNow = nil
    }

    /// Cancels the task of the handler: nobody else does, so that no handler of cancellation is needed.
    fileprivate func cancelTask() {
        cancel()
        unsafe task?.cancel()
    }

    /// Has its waits, and all of it, be over in time.
    fileprivate func limit(_ limits: Acceptor.Limits) {
        if limits.readLimit != nil || limits.writeLimit != nil {
            some.readLimit = limits.readLimit
            some.writeLimit = limits.writeLimit
            if limits.readLimit != nil { unsafe obstacles |= Self.isLimited }
        }
        guard let limit = limits.connectionLimit else { return }
        do {
            try beginDeadline(limit)
        } catch {
            expire()  // without a timer it could not be held to its limit
        }
    }
}

extension Server {
    /// Opens the loops, or takes the one, has each listen, and serves on all.
    static func run(
        _ loops: LoopCount, on one: Loop? = nil, _ options: Options,
        _ ready: (@Sendable (Address) -> Void)?, _ handler: @escaping Handler,
        _ listen:
            @escaping @Sendable (borrowing EventLoop, Address?, ListenerOptions)
            throws(SluiceError) -> ListenerID
    ) async throws {
        var options = options
        let count = loops.count
        if count > 1 { options.listener.reusesPort = true }
        var acceptors: [(loop: Loop, acceptor: Acceptor)] = []
        do {
            for _ in 0..<count {
                let loop =
                    try one
                    ?? Loop.start(options.backend, options: options.loop, tasks: options.tasks)
                // By which a port that the kernel has chosen is every loop's.
                let address = acceptors.first?.acceptor.address
                let acceptor = try await loop.accept(options, handler) {
                    (events, listener) throws(SluiceError) in
                    try listen(events, address, listener)
                }
                acceptors.append((loop, acceptor))
            }
            try await serve(acceptors, options, ready)
        } catch {
            for (loop, acceptor) in acceptors {
                acceptor.stop()
                await loop.serve(acceptor)
            }
            throw error
        }
    }

    private static func serve(
        _ all: [(loop: Loop, acceptor: Acceptor)], _ options: Options,
        _ ready: (@Sendable (Address) -> Void)?
    ) async throws(SluiceError) {
        let log = options.log
        let how = options.onShutdown
        let stop: @Sendable () -> Void = {
            log?.stops(how)
            for (_, acceptor) in all { acceptor.stop() }
        }
        let signals = try SignalWatch(options.stopsOn, all[0].loop.core) { _ in stop() }
        defer { signals.end() }
        log?.listens(at: all[0].acceptor.address, loops: all.count)
        ready?(all[0].acceptor.address)
        let alongside = options.alongside.map { body in all.map { $0.loop.begin(body) } } ?? []
        await withTaskCancellationHandler {
            for (loop, acceptor) in all { await loop.serve(acceptor) }
        } onCancel: {
            stop()
        }
        for task in alongside { task.cancel() }
        for task in alongside { await task.value }
        log?.hasEnded()
    }
}

extension Server.LoopCount {
    fileprivate var count: Int {
        switch self {
        case .one: 1
        case .count(let count): max(1, count)
        case .perCore: max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN)))
        }
    }
}
