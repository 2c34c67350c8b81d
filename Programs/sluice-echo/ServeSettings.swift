import ArgumentParser
import Glibc
import Sluice
import SystemPackage

/// The settings of a server, and how its loops are opened with them.
struct ServeSettings: Sendable {
    /// The smallest limit of a queue. Half of it is the smallest receive buffer that a loop can
    /// have.
    static let leastQueue = 8192
    /// How long a stop waits for clients to take what they are owed.
    static let patience = Duration.seconds(5)

    var address: Address
    /// The socket to listen at instead.
    let inherited: FileDescriptor?
    let backend: Backend
    let maxConnections: Int?
    let idleTimeout: Duration?
    let maxQueue: Int?
    let reusesPort: Bool
    let loops: Int
    let traces: Bool
    let showsStatistics: Bool
    let isWatched: Bool
    /// The address at which a page shows the loop.
    let inspected: String?
    let isInspectedOpenly: Bool
    var output: Output

    var isShown: Bool { isWatched || inspected != nil }

    var loopOptions: EventLoop.Options {
        var options = EventLoop.Options()
        if let maxQueue {
            // One receive fits between the mark at which reading stops and the limit over which an
            // answer is refused. So no answer is ever refused.
            options.hardLimit = maxQueue
            options.highMark = maxQueue / 2
            options.receiveSize = min(options.receiveSize, maxQueue - options.highMark)
        }
        return options
    }

    var listenerOptions: ListenerOptions {
        ListenerOptions(
            connectionLimit: maxConnections,
            reusesPort: reusesPort,
            // Half-open, because a client that has sent everything may take its answers as slowly
            // as it likes. A close would be limited by the linger time.
            streams: StreamOptions(
                staysHalfOpen: true, idleTimeout: idleTimeout, lingerTime: Self.patience))
    }

    /// Listens, and says where.
    func listen(_ loop: borrowing EventLoop) throws -> (ListenerID, Address) {
        do {
            let listener =
                if let inherited {
                    try loop.listen(adopting: inherited, options: listenerOptions)
                } else {
                    try loop.listen(on: address, options: listenerOptions)
                }
            return (listener, try loop.localAddress(of: listener))
        } catch {
            throw StartFailure(error, inherited == nil ? address : nil)
        }
    }
}

/// The socket that was handed over to us at the start, as sd_listen_fds(3) describes. `nil` if the
/// environment does not name us.
func inheritedListener() throws -> FileDescriptor? {
    // Unsafe because C's environment is made of pointers. The safe way to it would be Foundation.
    func number(_ name: String) -> Int? {
        unsafe getenv(name).flatMap { unsafe Int(String(cString: $0)) }
    }
    guard let count = number("LISTEN_FDS"), number("LISTEN_PID") == Int(getpid()) else {
        return nil
    }
    guard count == 1 else {
        throw ValidationError("LISTEN_FDS=\(count): only one socket can be served; hand over one")
    }
    return FileDescriptor(rawValue: 3)
}

/// Why a server could not start, and what to do about it.
struct StartFailure: Error, CustomStringConvertible {
    private let error: SluiceError
    private let address: Address?

    init(_ error: SluiceError, _ address: Address?) {
        self.error = error
        self.address = address
    }

    var description: String {
        if let address, let problem = address.problem {
            return "cannot listen on \"\(address)\": \(problem)"
        }
        let isPath = address?.text.hasPrefix("unix:") == true
        let remedy =
            switch error.code.errno {
            case .addressInUse where isPath:
                "; another server is there: stop it, or listen at another path"
            case .addressInUse: "; another server is there: stop it, or listen on another port"
            case .permissionDenied: "; ports below 1024 are the administrator's: use a higher one"
            case .addressNotAvailable: "; it is no address of this machine: use 127.0.0.1"
            default: ""
            }
        return "\(error)\(remedy)"
    }
}
