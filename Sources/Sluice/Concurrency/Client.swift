/// Connects to servers.
public enum Client {
    /// Connects, hands the connection to `body`, and closes it. If `body` returns, the connection
    /// is closed in order. If `body` throws or was cancelled, it is closed at once.
    ///
    /// ```swift
    /// let answer = try await Client.connect(to: "localhost:9999") { connection in
    ///     try await connection.write("hello\n")
    ///     return try await connection.readLine()
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - address: where to connect: see ``Address``. The addresses of a name are tried as RFC
    ///     8305 says.
    ///   - loop: the loop on which the connection lives. `nil` is the caller's loop, or else a loop
    ///     that all callers share.
    ///   - options: the connection's options, such as ``StreamOptions/connectTimeout``.
    /// - Throws: why there is no connection, with the address; and what `body` throws.
    public static func connect<Result: Sendable>(
        to address: String, on loop: Loop? = nil, options: StreamOptions = StreamOptions(),
        _ body: nonisolated(nonsending) @Sendable (Connection) async throws -> Result
    ) async throws -> Result {
        let loop = try loop ?? Loop.current ?? Loop.shared()
        return try await loop.connect(address, options, body)
    }
}

extension Loop {
    func connect<Result: Sendable>(
        _ address: String, _ options: StreamOptions,
        _ body: nonisolated(nonsending) @Sendable (Connection) async throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        var options = options
        options.staysHalfOpen = true
        options.isThrottled = false
        let connection = Connection(
            .client(self), try core.loop.connect(to: address, options: options), core)
        unsafe connection.obstacles |= Connection.isConnecting
        return try await withTaskCancellationHandler {
            // Without this line the closure would not be isolated, and would leave the loop (6.3).
            _ = self
            connection.beginHome()
            do {
                try await connection.waitUntilConnected(to: address)
                let result = try await preferring { () async throws in
                    try await body(connection)
                }
                connection.endHome()
                await connection.finish(inOrder: !connection.has(Connection.isCancelled))
                return result
            } catch {
                connection.endHome()
                await connection.finish(inOrder: false)
                throw error
            }
        } onCancel: {
            core.perform { connection.cancel() }
        }
    }
}

extension Connection {
    fileprivate nonisolated(nonsending) func waitUntilConnected(to address: String) async throws {
        if has(Self.isConnecting) && !has(Self.isCancelled | Self.isClosed) {
            await core.park(self)
        }
        // The peer may already be gone again.
        if has(Self.isCancelled | Self.isConnecting) {
            if has(Self.isCancelled) { throw CancellationError() }
            throw unconnected(address)
        }
    }

    /// Why there is no connection, with the address that the caller gave, and what to do about it.
    private func unconnected(_ address: String) -> SluiceError {
        let code = failure.code
        let remedy: String
        switch code.errno {
        case .connectionRefused: remedy = "start a server there, or check the port"
        case .timedOut: remedy = "check the address and the network, or allow more time"
        case .noSuchFileOrDirectory: remedy = "start a server there, or check the path"
        case .tooManyOpenFiles: remedy = "raise the limit (ulimit -n), or close what is not needed"
        default: remedy = "check the address and the network"
        }
        let problem = unsafe more?.nameProblem ?? code.message
        return SluiceError(
            code.rawValue, "connect to", .refused(address, "\(problem); \(remedy)"))
    }
}
