// What the article's programs share, but the article does not speak of: the command line, printing
// the lists, and asking poll or epoll the question that select answers.

public import ArgumentParser
private import Glibc
public import Sluice
public import SystemPackage

/// `--backend` and `--address`.
public struct Options: ParsableCommand {
    /// The command has the name of the program that asks.
    public static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: FilePath(CommandLine.arguments[0]).stem)
    }

    /// What to wait with.
    @Option(help: "What to wait with: \(names).", transform: backend(named:))
    public var backend = Backend.select

    /// Where the server is.
    @Option(help: "The server's address; port 0 lets the kernel choose.")
    public var address = "127.0.0.1:9999"

    /// The defaults.
    public init() {}

    private static let names = Backend.all.map(\.name).joined(separator: ", ")

    /// Called once the options are parsed. From here on, if a reader of our output has gone, a
    /// write fails, and we are not killed.
    public func validate() {
        signal(SIGPIPE, SIG_IGN)
    }

    @Sendable
    private static func backend(named name: String) throws -> Backend {
        guard let backend = Backend(name) else {
            throw ValidationError("unknown backend '\(name)'; use one of \(names)")
        }
        return backend
    }
}

/// Does something that the program cannot do without. If that fails, it says in one line why and
/// what to do, and exits.
public func orExit<Value: ~Copyable>(_ body: () throws -> Value) -> Value {
    do {
        return try body()
    } catch let error as SluiceError {
        Options.exit(withError: StartFailure(error: error))
    } catch {
        Options.exit(withError: error)
    }
}

/// An error, and what to do about it.
private struct StartFailure: Error, CustomStringConvertible {
    let error: SluiceError

    var description: String { "\(error)\(remedy)" }

    private var remedy: String {
        switch error.code.errno {
        case .addressInUse: "; another server is there: stop it, or pass another --address"
        case .connectionRefused: "; start a server first, as by article-first-server"
        default: ""
        }
    }
}

/// Prints `name: value`, at once even if the output is a pipe.
public func show(_ name: String, _ value: some Any) {
    // A reader of our output who has gone is no reason to stop serving.
    _ = try? FileDescriptor.standardOutput.writeAll("\(name): \(value)\n".utf8)
}

/// Prints `name: [3, 4, 5]`.
public func show(_ name: String, _ descriptors: [FileDescriptor]) {
    show(name, descriptors.map(\.rawValue))
}

/// The article's `select.select`, over any backend.
///
/// Like select, it is told everything on every call. That is simple, but for poll and epoll it is
/// the wrong way round. They are quick because a descriptor is registered once and waited for many
/// times, as `sluice-echo` does.
public func select(
    over backend: Backend,
    reading: [FileDescriptor] = [],
    writing: [FileDescriptor] = [],
    excepting: [FileDescriptor] = [],
    timeout: Duration? = nil
) throws(SluiceError) -> Selection {
    if backend == .select {
        return try select(
            reading: reading, writing: writing, excepting: excepting, timeout: timeout)
    }
    var interests: [FileDescriptor: Interest] = [:]
    for r in reading { interests[r, default: []].insert(.read) }
    for w in writing { interests[w, default: []].insert(.write) }
    // libevent has no event for the third list, which then stays empty.
    let waiter = try Waiter.over(backend)
    let exceptional: Interest = waiter.poller.features.contains(.priority) ? .priority : []
    for e in excepting { interests[e, default: []].formUnion(exceptional) }
    try waiter.register(interests)
    try waiter.poller.wait(timeout: timeout)
    var ready: [FileDescriptor: Readiness] = [:]
    while let event = waiter.poller.next() { ready[event.descriptor] = event.readiness }
    func those(_ list: [FileDescriptor], ready flag: Readiness) -> [FileDescriptor] {
        list.filter { ready[$0]?.contains(flag) ?? false }
    }
    return Selection(
        readable: those(reading, ready: .read),
        writable: those(writing, ready: .write),
        exceptional: those(excepting, ready: .priority))
}

/// The poller behind `select(over:)`, made once.
private final class Waiter {
    var poller: Poller
    private var registered: Set<FileDescriptor> = []

    private init(_ backend: Backend) throws(SluiceError) {
        poller = try Poller(backend, batch: 1024)
    }

    private static var only: Waiter?

    static func over(_ backend: Backend) throws(SluiceError) -> Waiter {
        if let only { return only }
        let made = try Waiter(backend)
        only = made
        return made
    }

    /// Registers these and no others. A registered one is modified all the same: since then its
    /// number may have been closed, and given to a new client.
    func register(_ interests: [FileDescriptor: Interest]) throws(SluiceError) {
        for descriptor in registered where interests[descriptor] == nil {
            try poller.remove(descriptor)
            registered.remove(descriptor)
        }
        for (descriptor, interest) in interests {
            if registered.insert(descriptor).inserted {
                try poller.add(descriptor, interest: interest)
            } else {
                try poller.modify(descriptor, interest: interest)
            }
        }
    }
}
