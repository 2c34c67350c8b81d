public import ServiceLifecycle
public import Sluice

/// A server as a service of swift-service-lifecycle.
///
/// ```swift
/// let server = ServerService(on: "localhost:9999") { connection in
///     for try await bytes in connection.inbound { try await connection.write(bytes) }
/// }
/// let group = ServiceGroup(services: [server], gracefulShutdownSignals: [.sigterm], logger: logger)
/// try await group.run()
/// ```
///
/// By a graceful shutdown it ends as `Server.Options.onShutdown` says: listening is over, connections
/// come to their end, and after `gracePeriod` those that are left are cancelled. `run()` returns when
/// all have ended. A cancellation does the same. So the group's
/// `maximumGracefulShutdownDuration`, where it is set, is to be longer than the grace period.
///
/// The group sees to signals: leave `stopsOn` empty.
public struct ServerService: Service {
    private let address: String
    private let loops: Server.LoopCount
    private let options: Server.Options
    private let ready: (@Sendable (Address) -> Void)?
    private let handler: Server.Handler
    private let file: StaticString
    private let line: UInt

    /// The parameters are those of `Server.run`.
    public init(
        on address: String, loops: Server.LoopCount = .one,
        options: Server.Options = Server.Options(), ready: (@Sendable (Address) -> Void)? = nil,
        file: StaticString = #fileID, line: UInt = #line,
        _ handler: nonisolated(nonsending) @escaping @Sendable (Connection) async throws -> Void
    ) {
        self.address = address
        self.loops = loops
        self.options = options
        self.ready = ready
        self.handler = handler
        self.file = file
        self.line = line
    }

    /// Serves until the service is to shut down, and all handlers have returned.
    public func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await Server.run(
                on: address, loops: loops, options: options, ready: ready, file: file, line: line,
                handler)
        }
    }
}
