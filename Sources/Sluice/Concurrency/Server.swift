public import Logging
public import SystemPackage

/// Serves connections, each by a task of its own.
///
/// ```swift
/// try await Server.run(on: "localhost:9999") { connection in
///     for try await bytes in connection.inbound {
///         try await connection.write(bytes)
///     }
/// }
/// ```
///
/// The handler runs on the thread of the connection's loop. When it returns, what is queued is sent
/// and the connection closed; where it throws, or was cancelled, the connection is aborted, and the
/// error goes to ``Options/onError``. Neither touches another connection.
public enum Server {
    /// What is done with a connection.
    public typealias Handler =
        nonisolated(nonsending) @Sendable (Connection) async throws -> Void

    /// What to do with connections that are open when a server ends.
    public enum Shutdown: Hashable, Sendable {
        /// Their reads give the end of the stream once what has come is taken, also what is still in
        /// the kernel, so that a handler that reads to the end comes to its own. A peer that sends on
        /// and on is read from until the grace period is over.
        case endInput
        /// They go on until their handlers return.
        case wait
        /// Their handlers are cancelled.
        case cancel
    }

    /// On how many loops to serve, each a thread.
    public enum LoopCount: Hashable, Sendable {
        /// One.
        case one
        /// So many, over which the kernel spreads the callers (SO_REUSEPORT).
        case count(Int)
        /// As many as the machine has cores.
        case perCore
    }

    /// When a connection's handler starts.
    public enum Start: Hashable, Sendable {
        /// With the connection.
        case onAccept
        /// With the first bytes that come, or the end: a caller who says nothing costs no task.
        case onFirstBytes
    }

    /// How a server behaves.
    public struct Options: Sendable {
        /// How its loops are opened. A backend of `nil` is the best there is.
        public var backend: Backend?
        /// How its loops are opened.
        public var loop = EventLoop.Options()
        /// How it listens, and how its connections behave. They always stay half-open until the handler
        /// returns, and are read from however much is queued.
        public var listener = ListenerOptions()
        /// Whether tasks prefer the loop's thread.
        public var tasks = Loop.Tasks.onLoop
        /// When a connection's handler starts.
        public var startsHandler = Start.onAccept
        /// How long a read may wait; for ever for `nil`.
        public var readLimit: Duration?
        /// How long a write may wait for room; for ever for `nil`.
        public var writeLimit: Duration?
        /// How long a connection may last; for ever for `nil`. Then its waits throw ``TimedOut``.
        public var connectionLimit: Duration?
        /// The signals that end the server.
        public var stopsOn: [CInt] = []
        /// What happens to connections then.
        public var onShutdown = Shutdown.endInput
        /// How long handlers may go on after that, until they are cancelled. What has been closed by
        /// then and still waits for its peer is aborted.
        public var gracePeriod = Duration.seconds(30)
        /// What a handler has thrown. Called on the loop's thread.
        public var onError: @Sendable (Connection, any Error) -> Void = { _, _ in }
        /// What runs beside the server on each of its loops, on that loop's thread: it begins when the
        /// server is ready, and is cancelled when all handlers have returned. The server waits for it.
        public var alongside: (nonisolated(nonsending) @Sendable (Loop) async -> Void)?
        /// Who is told what the server does: with debug of each connection, with info of its start and
        /// its end, with a warning when there is no room for more callers, and with error of what a
        /// handler has thrown and no peer could have brought about. Nobody for `nil`.
        ///
        /// In a debug build a warning tells of a turn of a loop that took more than 100 ms, and of whose
        /// handler took longest: all other connections of the loop wait for that.
        public var logger: Logger?
        /// Made of the logger when the server starts.
        var log: ServerLog?

        /// The defaults.
        public init() {}
    }

    /// Serves until the task is cancelled or one of ``Options/stopsOn`` comes, and until all handlers
    /// have returned.
    ///
    /// - Parameters:
    ///   - address: where to listen: see ``Address``. Port 0 is any free one.
    ///   - ready: called with the address once callers are let in.
    ///   - file: where the handler stands, for the log.
    ///   - line: the same.
    /// - Throws: what ``EventLoop/listen(on:options:)-(Address,_)`` does, or where there can be no more
    ///   threads.
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

    /// Serves a socket that listens already, as of socket activation. The loop owns it from then on.
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
    /// Serves on this loop, beside what else it does: as ``Server/run(on:loops:options:ready:file:line:_:)``,
    /// until the task is cancelled or a signal comes, and until all handlers have returned. The loop
    /// goes on after that.
    ///
    /// How the loop was opened and whether tasks prefer it is up to ``start(_:options:tasks:)``, and
    /// not to the options.
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
