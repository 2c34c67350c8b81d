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
/// On a graceful shutdown it ends as `Server.Options.onShutdown` says. It stops listening, and
/// connections come to their end. After `gracePeriod`, the handlers that are left are cancelled.
/// `run()` returns when all have ended. A cancellation does the same. So if the group's
/// `maximumGracefulShutdownDuration` is set, make it longer than the grace period.
///
/// The group handles signals: leave `stopsOn` empty.
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

    /// Serves until the service is told to shut down and all handlers have returned.
    public func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await Server.run(
                on: address, loops: loops, options: options, ready: ready, file: file, line: line,
                handler)
        }
    }
}
