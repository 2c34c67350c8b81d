internal import CSluice
private import Glibc

/// The system call that a ``Poller`` waits with.
public struct Backend: Hashable, Sendable {
    /// Its name, as ``Poller`` and the environment variable `SLUICE_BACKEND` take it.
    public let name: String

    /// The backend of that name, or `nil` where there is none.
    public init?(_ name: String) {
        guard let backend = Self.all.first(where: { $0.name == name }) else { return nil }
        self = backend
    }

    private init(builtIn name: String) {
        self.name = name
    }

    /// select(2): three sets of bits. It is everywhere, and each wait costs a bit for every number
    /// up to the highest.
    public static let select = Backend(builtIn: "select")

    /// poll(2): an array of descriptors. Each wait costs an element for every registration.
    public static let poll = Backend(builtIn: "poll")

    /// epoll(7): the kernel keeps the registrations. Each wait costs what is ready.
    public static let epoll = Backend(builtIn: "epoll")

    /// Those that there are, best first.
    public static let all: [Backend] = {
        var backends: [Backend] = []
        while let name = unsafe sluice_backend_name(backends.count) {
            backends.append(unsafe Backend(builtIn: String(cString: name)))
        }
        return backends
    }()

    /// What chooses where no backend is named, in the words of the shell.
    static var environmentSetting: String {
        let value = unsafe getenv("SLUICE_BACKEND").map { unsafe String(cString: $0) }
        return "SLUICE_BACKEND=\(value ?? "")"
    }
}

extension Backend: CustomStringConvertible {
    /// The backend's name.
    public var description: String { name }
}
