internal import CSluice
private import Glibc

#if Libevent
    private import CSluiceLibevent
#endif

/// What a ``Poller`` waits with: a system call, or a library over one.
public struct Backend: Hashable, Sendable {
    /// Its name, as ``Poller`` and the environment variable `SLUICE_BACKEND` take it.
    public let name: String

    /// The backend of that name, or `nil` if there is none. If several backends have the same word
    /// before a colon, the word stands for the best of them.
    public init?(_ name: String) {
        let named = Self.all.first { $0.name == name || $0.name.hasPrefix("\(name):") }
        guard let named else { return nil }
        self = named
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

    #if Libevent
        /// libevent, over the best of its methods, which is epoll. The others are `libevent:poll` and
        /// `libevent:select`. It is there with the package's trait `Libevent`, and has no
        /// ``Interest/priority``.
        public static let libevent = Backend("libevent")!
    #endif

    /// Registers the backends that are not part of the core. This is done once.
    static let registration: Void = {
        #if Libevent
            let code = sluice_libevent_register()
            require(code == 0, "more backends than there is room for")
        #endif
    }()

    /// All backends that there are, best first.
    public static let all: [Backend] = {
        registration
        var backends: [Backend] = []
        while let name = unsafe sluice_backend_name(backends.count) {
            backends.append(unsafe Backend(builtIn: String(cString: name)))
        }
        return backends
    }()

    /// The setting that chooses if no backend is named, as the shell writes it.
    static var environmentSetting: String {
        let value = unsafe getenv("SLUICE_BACKEND").map { unsafe String(cString: $0) }
        return "SLUICE_BACKEND=\(value ?? "")"
    }
}

extension Backend: CustomStringConvertible {
    /// The backend's name.
    public var description: String { name }
}
