import Sluice

/// What a server is told, and how its loops are opened by that.
struct ServeSettings: Sendable {
    /// Half of it is the least that a loop's receive buffer can have.
    static let leastQueue = 8192
    /// How long a stop waits for clients to take what they are owed.
    private static let patience = Duration.seconds(5)

    var address: Address
    let backend: Backend
    let maxConnections: Int?
    let idleTimeout: Duration?
    let maxQueue: Int?
    let reusesPort: Bool
    let loops: Int
    let traces: Bool
    let showsStatistics: Bool
    var output: Output

    func openLoop() throws -> EventLoop {
        var options = EventLoop.Options()
        if let maxQueue {
            // One receive fits between the mark at which reading stops and the limit over which an
            // answer is refused: so none ever is.
            options.hardLimit = maxQueue
            options.highMark = maxQueue / 2
            options.receiveSize = min(options.receiveSize, maxQueue - options.highMark)
        }
        return try EventLoop(backend, options: options)
    }

    /// Listens, and says where.
    func listen(_ loop: borrowing EventLoop) throws -> (Listener, Address) {
        let options = Listener.Options(
            connectionLimit: maxConnections,
            reusesPort: reusesPort,
            // Half-open, because a client that has sent all may take its answers as slowly as it
            // likes; a close would be limited by the linger time.
            streams: Stream.Options(
                staysHalfOpen: true, idleTimeout: idleTimeout, lingerTime: Self.patience))
        do {
            let listener = try loop.listen(on: address, options: options)
            return (listener, try loop.localAddress(of: listener))
        } catch {
            throw StartFailure(error)
        }
    }
}

/// Why a server could not start, and what to do about it.
struct StartFailure: Error, CustomStringConvertible {
    private let error: SluiceError

    init(_ error: SluiceError) {
        self.error = error
    }

    var description: String {
        let remedy =
            switch error.code.errno {
            case .addressInUse: "; another server is there: stop it, or listen on another port"
            case .permissionDenied: "; ports below 1024 are the administrator's: use a higher one"
            case .addressNotAvailable: "; it is no address of this machine: use 127.0.0.1"
            default: ""
            }
        return "\(error)\(remedy)"
    }
}
