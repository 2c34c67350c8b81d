// What a server tells its logger, if it has one. Without a logger, a connection costs one
// comparison, and its reads and writes cost nothing.
//
// What a peer can cause at will is logged for debugging only. Otherwise anybody could fill the log.

internal import Logging
private import Synchronization

/// A server's log, which its loops share.
final class ServerLog: Sendable {
    private let logger: Logger
    /// Where the handler is in the program's source.
    private let handler: String
    private let isStopping = Atomic<Bool>(false)

    init(_ logger: Logger, handler: String) {
        self.logger = logger
        self.handler = handler
    }

    // MARK: The server

    func listens(at address: Address, loops: Int) {
        logger.info("listening", metadata: ["address": "\(address)", "loops": "\(loops)"])
    }

    /// The first stop goes as the options say. A second one cancels what is left.
    func stops(_ how: Server.Shutdown) {
        if isStopping.exchange(true, ordering: .relaxed) {
            logger.info("told to shut down again: cancelling the handlers that are left")
        } else {
            logger.info("shutting down", metadata: ["connections": "\(how)"])
        }
    }

    func hasEnded() {
        logger.info("shut down")
    }

    func graceIsOver(_ running: Int) {
        logger.warning(
            "the grace period is over: cancelling the handlers that are left",
            metadata: ["handlers": "\(running)"])
    }

    func isOverloaded(_ code: SluiceError.Code) {
        logger.warning(
            "callers have to wait: there is no room for more connections",
            metadata: ["error": "\(code)"])
    }

    // MARK: Connections

    /// Keeps the peer's address, because it is not known once the connection has ended.
    func accepted(_ connection: Connection) {
        connection.some.peer = connection.peerAddress
        logger.debug("accepted", metadata: peer(of: connection))
    }

    func ended(_ connection: Connection) {
        guard logger.logLevel <= .debug else { return }
        var metadata = peer(of: connection)
        if let error = connection.reason { metadata["error"] = "\(error)" }
        logger.debug("ended", metadata: metadata)
    }

    func threw(_ error: any Error, _ connection: Connection) {
        let level: Logger.Level =
            switch error {
            case is SluiceError, is TimedOut, is UnexpectedEnd, is TooLong, is CancellationError:
                .debug
            default: .error
            }
        logger.log(
            level: level, "a handler has thrown",
            metadata: peer(of: connection).merging(["error": "\(error)"]) { $1 })
    }

    private func peer(of connection: Connection) -> Logger.Metadata {
        // An empty address is that of a unix socket without a name.
        ["peer": "\(unsafe connection.more?.peer?.text ?? "")"]
    }
}

#if DEBUG
    extension ServerLog {
        func blocked(_ turn: Duration, _ job: Duration, _ connection: Connection?) {
            var metadata: Logger.Metadata = [
                "turn": "\(turn)", "longest": "\(job)", "handler": "\(handler)",
            ]
            if let connection { metadata.merge(peer(of: connection)) { $1 } }
            logger.warning(
                "a turn of the loop has kept all its connections waiting; move heavy work off it",
                metadata: metadata)
        }
    }
#endif

extension Server.Options {
    /// These options, with a log if there is a logger.
    func logging(_ file: StaticString, _ line: UInt) -> Self {
        var options = self
        options.log = logger.map { ServerLog($0, handler: "\(file):\(line)") }
        return options
    }
}
