internal import CSluice
public import SystemPackage

/// What went wrong, in which operation, and with what.
///
/// Printed, it is one sentence that names the value and what to do about it:
/// `add descriptor 7: there already; modify the registration, or remove it first (SLUICE_EEXIST)`.
public struct SluiceError: Error, Hashable, Sendable {
    /// What went wrong.
    public let code: Code

    /// What was being done, such as "add" or "listen".
    public let operation: String

    /// What it was done to.
    private let subject: Subject

    @usableFromInline
    enum Subject: Hashable, Sendable {
        case nothing
        case descriptor(FileDescriptor)
        case text(String)
        case handle(HandleKind, UInt64)
        /// A text, and a message in place of the code's.
        case refused(String, String)
    }

    /// The kind of an error: one of Sluice's own, or an `Errno` that the kernel gave.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The negative code of the C interface.
        public let rawValue: CInt

        /// The kind that a code of the C interface stands for.
        public init(rawValue: CInt) {
            self.rawValue = rawValue
        }
    }
}

extension SluiceError.Code {
    /// Out of memory; nothing was changed.
    public static var outOfMemory: Self { Self(SLUICE_ENOMEM) }
    /// The descriptor is not open.
    public static var badDescriptor: Self { Self(SLUICE_EBADF) }
    /// The descriptor is registered already.
    public static var alreadyRegistered: Self { Self(SLUICE_EEXIST) }
    /// The descriptor is not registered.
    public static var notRegistered: Self { Self(SLUICE_ENOENT) }
    /// The backend cannot do that: see ``Poller/features``.
    public static var notSupported: Self { Self(SLUICE_ENOTSUP) }
    /// There is no backend of that name: see ``Backend/all``.
    public static var unknownBackend: Self { Self(SLUICE_EBACKEND) }
    /// The interest has bits that cannot be asked for.
    public static var unknownInterest: Self { Self(SLUICE_EINTEREST) }
    /// A capacity or a count is too small.
    public static var noCapacity: Self { Self(SLUICE_ECAPACITY) }
    /// The text is not an address.
    public static var badAddress: Self { Self(SLUICE_EADDRESS) }
    /// The port of an address is missing, or is not a port.
    public static var badPort: Self { Self(SLUICE_EPORT) }
    /// The path of a unix socket is empty or too long.
    public static var badPath: Self { Self(SLUICE_EPATH) }
    /// The network interface of an IPv6 address does not exist.
    public static var badScope: Self { Self(SLUICE_ESCOPE) }
    /// `*` was given to connect to, or a host name where only a numeric address is taken.
    public static var notNumeric: Self { Self(SLUICE_ENUMERIC) }
    /// The host name could not be looked up, or has no address.
    public static var unknownName: Self { Self(SLUICE_ENAME) }
    /// The socket listens, and so no stream can be made of it.
    public static var listeningSocket: Self { Self(SLUICE_ELISTENS) }
    /// The socket does not listen.
    public static var notListening: Self { Self(SLUICE_ENOLISTEN) }
    /// A limit is reached; nothing was taken.
    public static var full: Self { Self(SLUICE_EFULL) }
    /// The handle has ended, or never was.
    public static var stale: Self { Self(SLUICE_ESTALE) }
    /// This cannot be done with a handle of this kind.
    public static var wrongKind: Self { Self(SLUICE_EKIND) }
    /// The loop belongs to another thread.
    public static var wrongThread: Self { Self(SLUICE_ETHREAD) }
    /// It cannot be done now.
    public static var wrongState: Self { Self(SLUICE_ESTATE) }
    /// A signal ended the wait, as was asked for.
    public static var interrupted: Self { Self(SLUICE_EINTR) }
    /// The stream was ended by ``EventLoop/abort(_:because:)``.
    public static var aborted: Self { Self(rawValue: -Errno.connectionAbort.rawValue) }
    /// A frame is longer than its limit.
    public static var frameTooLong: Self { Self(rawValue: -Errno.messageTooLong.rawValue) }
    /// A frame has an impossible length.
    public static var badFrame: Self { Self(rawValue: -Errno.badMessage.rawValue) }
    /// An option is out of its range.
    public static var badOption: Self { Self(SLUICE_EOPTION) }

    /// The kernel's error; `nil` if the code is one of Sluice's own.
    public var errno: Errno? {
        rawValue < 0 && rawValue > SLUICE_ENOTSUP.rawValue ? Errno(rawValue: -rawValue) : nil
    }

    private init(_ code: sluice_error) {
        self.init(rawValue: code.rawValue)
    }
}

extension SluiceError {
    @usableFromInline
    init(_ code: CInt, _ operation: String, _ subject: Subject = .nothing) {
        self.code = Code(rawValue: code)
        self.operation = operation
        self.subject = subject
    }
}

extension SluiceError.Code: CustomStringConvertible {
    /// The code's name, such as "SLUICE_ENOTSUP" or "ECONNREFUSED".
    public var description: String {
        unsafe String(cString: sluice_error_name(rawValue))
    }

    /// One sentence: what happened and what to do about it.
    public var message: String {
        unsafe String(cString: sluice_error_message(rawValue))
    }
}

extension SluiceError: CustomStringConvertible {
    /// One sentence that names what was being done, to what, and the remedy.
    public var description: String {
        let what =
            switch subject {
            case .nothing: operation
            case .descriptor(let number): "\(operation) descriptor \(number.rawValue)"
            case .text(let text): "\(operation) \"\(text)\""
            case .handle(let kind, let id): "\(operation) \(kind) \(id)"
            case .refused(let text, _): "\(operation) \"\(text)\""
            }
        if case .refused(_, let why) = subject { return "\(what): \(why) (\(code))" }
        return "\(what): \(code.message) (\(code))"
    }
}
