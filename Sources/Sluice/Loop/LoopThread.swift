internal import CSluice
private import Glibc

/// A loop on a thread of its own.
///
/// ```swift
/// let loop = try EventLoop()
/// try loop.listen(on: "localhost:9999")
/// let thread = try LoopThread(loop) { loop in try loop.run(Server()) }
/// …
/// thread.poster.wake()    // ends its run
/// try thread.join()
/// ```
///
/// The loop ends with its thread, when the body returns. A thread that is not joined goes on by
/// itself.
public final class LoopThread: Sendable {
    /// What a thread does with its loop.
    public typealias Body = @Sendable (inout EventLoop) throws -> Void

    /// Posts to the loop and wakes it.
    public let poster: EventLoop.Poster

    private let start: Start
    /// The thread's number, until somebody joins it.
    private let thread = Locked<pthread_t?>(nil)

    /// Starts a thread that has the loop from now on, and calls `body` there.
    ///
    /// - Throws: an errno if no more threads can be started. The loop has ended then.
    public convenience init(
        _ loop: consuming sending EventLoop, _ body: @escaping Body
    ) throws(SluiceError) {
        try self.init(Start(loop, body, Gate()))
    }

    private init(_ start: Start) throws(SluiceError) {
        poster = start.poster
        self.start = start
        let number = try startThread { start.run() }
        thread.withLock { $0 = number }
    }

    deinit {
        if let number = thread.withLock({ $0.take() }) { pthread_detach(number) }
    }

    /// Waits until the thread has ended. Call it on any thread except its own. Only the first call
    /// waits.
    ///
    /// - Throws: what the body has thrown.
    public func join() throws {
        let number = thread.withLock { number in
            // Otherwise this call would take the number, and whoever has to wait for the thread
            // would not.
            let isOwn = number.map { pthread_equal($0, pthread_self()) != 0 } ?? false
            require(!isOwn, "a LoopThread cannot wait for its own end")
            return number.take()
        }
        if let number { pthread_join(number, nil) }
        if let failure = start.failure.withLock({ $0 }) { throw failure }
    }

    /// Starts several loops that listen at one address, each on a thread of its own. The kernel
    /// spreads the callers over them (SO_REUSEPORT). For port 0 the kernel chooses one port, the
    /// same for all loops.
    ///
    /// ```swift
    /// let threads = try LoopThread.start(4, listeningOn: "*:9999") { loop in try loop.run(Server()) }
    /// ```
    ///
    /// - Parameters:
    ///   - count: how many threads; at least 1.
    ///   - address: an address with a port. A unix socket's is only for one thread: the kernel does
    ///     not spread the callers of a unix socket.
    /// - Returns: the threads, and where they listen.
    /// - Throws: ``SluiceError/Code/badOption`` for several threads at a unix socket, what
    ///   ``EventLoop/init(_:options:)`` and ``EventLoop/listen(on:options:)-(Address,_)`` throw, or
    ///   an errno if no more threads can be started. No thread is left then.
    public static func start(
        _ count: Int, listeningOn address: String, _ backend: Backend? = nil,
        options: EventLoop.Options = EventLoop.Options(),
        listener: ListenerOptions = ListenerOptions(), _ body: @escaping Body
    ) throws(SluiceError) -> (threads: [LoopThread], address: Address) {
        require(count >= 1, "\(count) threads; there is to be 1 at least")
        var listener = listener
        var address = Address(address)
        guard count == 1 || !address.isUnix else {
            throw SluiceError(
                SLUICE_EOPTION.rawValue, "start \(count) threads that listen on",
                .refused(
                    address.text,
                    "a unix socket is of one loop; start 1 thread, or listen on an address with a port"
                ))
        }
        listener.reusesPort = !address.isUnix
        // All loops listen before one of them serves. If one cannot listen, none serves.
        let gate = Gate()
        var starts: [Start] = []
        for _ in 0..<count {
            let loop = try EventLoop(backend, options: options)
            address = try loop.localAddress(of: try loop.listen(on: address, options: listener))
            starts.append(Start(loop, body, gate))
        }
        let threads = try gate.isShut.withLock { (isShut) throws(SluiceError) in
            isShut = true
            let threads = try starts.map { (start) throws(SluiceError) in try LoopThread(start) }
            isShut = false
            return threads
        }
        return (threads, address)
    }
}

/// What a thread starts with, and the error that it leaves.
// Sendable: the loop belongs to the starter until the thread runs, and to the thread from then on.
private final class Start: @unchecked Sendable {
    let poster: EventLoop.Poster
    let failure = Locked<(any Error)?>(nil)
    private var loop: EventLoop?
    private let body: LoopThread.Body
    private let gate: Gate

    init(
        _ loop: consuming sending EventLoop, _ body: @escaping LoopThread.Body, _ gate: Gate
    ) {
        poster = loop.poster
        self.loop = consume loop
        self.body = body
        self.gate = gate
    }

    func run() {
        guard var loop = loop.take(), !gate.isShut.withLock({ $0 }) else { return }
        loop.takeOver()
        do {
            try body(&loop)
        } catch {
            failure.withLock { $0 = error }
        }
    }
}

/// Holds threads back until all have been started. It stays shut if their starter has given up.
private final class Gate: Sendable {
    let isShut = Locked(false)
}
