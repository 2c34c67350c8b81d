// What a server does on one loop: it accepts connections, has a task for each, and ends all of
// them.
//
// The tasks belong to no task group, for two reasons. When the server is cancelled, its handlers
// are to end as the options say, and not to be cancelled all at once. And the runtime (6.3) looks
// for a preferred executor at each switch of a group's child, even if there is none. So the tasks
// are counted, and the server waits until none is left.

private import Glibc

/// A listener of a loop, and the connections that it has accepted. All of it belongs to the loop's
/// thread, except `stop`.
@safe
final class Acceptor: Waiter, @unchecked Sendable {
    let loop: Loop
    private let core: Core
    let limits: Limits
    let handler: Server.Handler
    let address: Address
    private let listener: ListenerID

    /// The connections that have not ended, by their slots. Each one says so before it goes.
    @exclusivity(unchecked) private var living: [Unmanaged<Connection>?] = unsafe []
    /// How many connections have a handler that is still running, or have not ended after it.
    @exclusivity(unchecked) private var running = 0
    /// How the server is ending; `nil` while it serves.
    private var shutdown: Server.Shutdown?
    private var grace: WaitLimit?

    /// What the options say about connections, and about the end.
    // An object of its own: with the options in it, a task's frame would be too large for its slab.
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

    /// Call it on the loop's thread.
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

    /// Makes a connection's handler begin soon.
    func start(_ connection: Connection) {
        unsafe running += 1
        loop.start(connection)
    }

    /// A handler has returned. Its task does not wait for the end of the connection: that would
    /// cost another wait, and the memory of the task.
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

    /// A connection has ended, and its handler has returned.
    private func isDone() {
        unsafe running -= 1
        if unsafe running == 0 { wake(core) }
    }

    /// The listener has stopped accepting. It goes on by itself.
    func isOverloaded(_ code: CInt) {
        limits.log?.isOverloaded(SluiceError.Code(rawValue: code))
    }

    private func forEachLiving(_ body: (Connection) -> Void) {
        for slot in unsafe living.indices {
            if let connection = unsafe living[slot]?.takeUnretainedValue() { body(connection) }
        }
    }

    // MARK: The end

    /// Waits until the server has been stopped and all handlers have returned.
    nonisolated(nonsending) func serve() async {
        while unsafe shutdown == nil || running > 0 { await core.park(self) }
        grace?.cancel(core)
        // The grace timer refers to this acceptor.
        grace = nil
    }

    /// Ends the server. It may be called from any thread. A second call cancels what is left.
    func stop() {
        core.perform { self.stopNow() }
    }

    private func stopNow() {
        guard shutdown == nil else { return endRest() }
        shutdown = limits.onShutdown
        core.loop.close(listener)
        unsafe core.living -= 1
        // Connections that have sent nothing yet have no handler. They just end.
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
        // Gives back the listener's reference: the listener has no more events.
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

    /// Cancels the handlers that are left. Aborts connections whose handlers have returned and
    /// whose peers do not end.
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
        // This does what assumeIsolated does, without its check, which costs 1,400 instructions.
        // Only the loop's thread starts a connection.
        typealias Start = (Loop) -> Task<Void, Never>
        let start = unsafe unsafeBitCast(Self.startIsolated, to: Start.self)
        unsafe connection.task = start(self)
    }

    private static let startIsolated: @Sendable (isolated Loop) -> Task<Void, Never> = { loop in
        // It is isolated to this actor, or it would begin on the global pool. It captures only the
        // actor, so its captures need no memory.
        if let preference = loop.preference {
            Task(executorPreference: preference) { await loop.handleNext() }
        } else {
            Task { await loop.handleNext() }
        }
    }

    /// Runs the handler of the next connection, and ends the connection.
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

    /// Runs `body` on the loop's thread. The server waits for it, so it is no child task.
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

    /// Cancels the task of the handler. Nobody else cancels it, so no cancellation handler is
    /// needed.
    fileprivate func cancelTask() {
        cancel()
        unsafe task?.cancel()
    }

    /// Sets the time limits of the connection's waits, and of the whole connection.
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
    /// Opens the loops, or takes the one that is given, makes each of them listen, and serves on
    /// all.
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
        var signals: SignalWatch?
        defer { signals?.end() }
        do {
            for _ in 0..<count {
                let loop =
                    try one
                    ?? Loop.start(options.backend, options: options.loop, tasks: options.tasks)
                // Before it accepts: a signal that comes after the first connection must not be lost.
                if signals == nil { signals = try SignalWatch(options.stopsOn, loop.core) }
                // With this, a port that the kernel has chosen is the port of every loop.
                let address = acceptors.first?.acceptor.address
                let acceptor = try await loop.accept(options, handler) {
                    (events, listener) throws(SluiceError) in
                    try listen(events, address, listener)
                }
                acceptors.append((loop, acceptor))
            }
            await serve(acceptors, signals, options, ready)
        } catch {
            for (loop, acceptor) in acceptors {
                acceptor.stop()
                await loop.serve(acceptor)
            }
            throw error
        }
    }

    private static func serve(
        _ all: [(loop: Loop, acceptor: Acceptor)], _ signals: SignalWatch?, _ options: Options,
        _ ready: (@Sendable (Address) -> Void)?
    ) async {
        let log = options.log
        let how = options.onShutdown
        let stop: @Sendable () -> Void = {
            log?.stops(how)
            for (_, acceptor) in all { acceptor.stop() }
        }
        signals?.begin { _ in stop() }
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
