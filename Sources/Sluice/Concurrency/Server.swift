public import Logging
public import SystemPackage

/// Serves connections, each in a task of its own.
///
/// ```swift
/// try await Server.run(on: "localhost:9999") { connection in
///     for try await bytes in connection.inbound {
///         try await connection.write(bytes)
///     }
/// }
/// ```
///
/// The handler runs on the thread of the connection's loop. When it returns, what is queued is
/// sent, and the connection is closed. If it throws or was cancelled, the connection is aborted,
/// and the error goes to ``Options/onError``. Neither touches another connection.
public enum Server {
    /// What is done with a connection.
    public typealias Handler =
        nonisolated(nonsending) @Sendable (Connection) async throws -> Void

    /// What to do with connections that are open when a server ends.
    public enum Shutdown: Hashable, Sendable {
        /// Their reads give the end of the stream once everything that has come is taken, including
        /// what is still in the kernel. So a handler that reads to the end comes to its own end. A
        /// peer that never stops sending is read from until the grace period is over.
        case endInput
        /// They go on until their handlers return.
        case wait
        /// Their handlers are cancelled.
        case cancel
    }

    /// On how many loops to serve. Each loop has a thread.
    public enum LoopCount: Hashable, Sendable {
        /// One.
        case one
        /// This many. The kernel spreads the connections over them (SO_REUSEPORT).
        case count(Int)
        /// As many as the machine has cores.
        case perCore
    }

    /// When a connection's handler starts.
    public enum Start: Hashable, Sendable {
        /// When the connection is accepted.
        case onAccept
        /// When the first bytes come, or the end. A peer that sends nothing costs no task.
        case onFirstBytes
    }

    /// How a server behaves.
    public struct Options: Sendable {
        /// The backend of its loops; `nil` for the best there is.
        public var backend: Backend?
        /// How its loops are opened.
        public var loop = EventLoop.Options()
        /// How it listens, and how its connections behave. Connections always stay half-open until
        /// the handler returns, and they are read from no matter how much is queued.
        public var listener = ListenerOptions()
        /// Whether tasks prefer the loop's thread.
        public var tasks = Loop.Tasks.onLoop
        /// When a connection's handler starts.
        public var startsHandler = Start.onAccept
        /// How long a read may wait; `nil` for no limit.
        public var readLimit: Duration?
        /// How long a write may wait for room; `nil` for no limit.
        public var writeLimit: Duration?
        /// How long a connection may last; `nil` for no limit. After that its waits throw
        /// ``TimedOut``.
        public var connectionLimit: Duration?
        /// The signals that end the server.
        public var stopsOn: [CInt] = []
        /// What happens to connections when the server ends.
        public var onShutdown = Shutdown.endInput
        /// How long handlers may go on after the server was told to end. Then they are cancelled. A
        /// connection that was closed and still waits for its peer is aborted then.
        public var gracePeriod = Duration.seconds(30)
        /// Called with the error that a handler has thrown, on the loop's thread.
        public var onError: @Sendable (Connection, any Error) -> Void = { _, _ in }
        /// Code that runs beside the server on each of its loops, on that loop's thread. It begins
        /// when the server is ready, and is cancelled when all handlers have returned. The server
        /// waits for it.
        public var alongside: (nonisolated(nonsending) @Sendable (Loop) async -> Void)?
        /// The logger that is told what the server does; `nil` for none. The levels are debug for
        /// each connection, info for the server's start and end, warning when there is no room for
        /// more connections, and error for what a handler has thrown if no peer could have caused
        /// it.
        ///
        /// In a debug build, a warning tells of a turn of a loop that took more than 100 ms, and of
        /// the connection whose handler took longest. All other connections of the loop wait for
        /// that handler.
        public var logger: Logger?
        /// Made from the logger when the server starts.
        var log: ServerLog?

        /// All options at their defaults.
        public init() {}
    }

    /// Serves until the task is cancelled or one of ``Options/stopsOn`` comes, and until all handlers
    /// have returned.
    ///
    /// - Parameters:
    ///   - address: where to listen: see ``Address``. Port 0 is any free port.
    ///   - ready: called with the address once connections are accepted.
    ///   - file: the source file of the handler, for the log.
    ///   - line: the line of the handler, for the log.
    /// - Throws: what ``EventLoop/listen(on:options:)-(Address,_)`` throws, or an error if no more
    ///   threads can be started.
    public static func run(
        on address: String, loops: LoopCount = .one, options: Options = Options(),
        ready: (@Sendable (Address) -> Void)? = nil,
        file: StaticString = #fileID, line: UInt = #line,
        _ handler: nonisolated(nonsending) @escaping @Sendable (Connection) async throws -> Void
    ) async throws {
        try await run(loops, options.logging(file, line), ready, handler) {
            (loop, chosen, listener) throws(SluiceError) in
            try loop.listen(on: chosen ?? Address(address), options: listener)
        }
    }

    /// Serves a socket that listens already, as in socket activation. The loop owns it from then
    /// on.
    public static func run(
        adopting descriptor: FileDescriptor, options: Options = Options(),
        ready: (@Sendable (Address) -> Void)? = nil,
        file: StaticString = #fileID, line: UInt = #line,
        _ handler: nonisolated(nonsending) @escaping @Sendable (Connection) async throws -> Void
    ) async throws {
        try await run(.one, options.logging(file, line), ready, handler) {
            (loop, _, listener) throws(SluiceError) in
            try loop.listen(adopting: descriptor, options: listener)
        }
    }
}

extension Loop {
    /// Serves on this loop, beside whatever else it does. Like
    /// ``Server/run(on:loops:options:ready:file:line:_:)``, it serves until the task is cancelled
    /// or a signal comes, and until all handlers have returned. The loop goes on after that.
    ///
    /// The options do not decide how the loop was opened, or whether tasks prefer it:
    /// ``start(_:options:tasks:)`` has decided that.
    public nonisolated func serve(
        on address: String, options: Server.Options = Server.Options(),
        ready: (@Sendable (Address) -> Void)? = nil,
        file: StaticString = #fileID, line: UInt = #line,
        _ handler: nonisolated(nonsending) @escaping @Sendable (Connection) async throws -> Void
    ) async throws {
        try await Server.run(.one, on: self, options.logging(file, line), ready, handler) {
            (loop, _, listener) throws(SluiceError) in
            try loop.listen(on: Address(address), options: listener)
        }
    }
}
