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

    private enum Subject: Hashable, Sendable {
        case nothing
        case descriptor(CInt)
        case text(String)
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
    /// The text is no numeric address.
    public static var badAddress: Self { Self(SLUICE_EADDRESS) }

    /// The kernel's error, where it is one.
    public var errno: Errno? {
        rawValue < 0 && rawValue > SLUICE_ENOTSUP.rawValue ? Errno(rawValue: -rawValue) : nil
    }

    private init(_ code: sluice_error) {
        self.init(rawValue: code.rawValue)
    }
}

extension SluiceError {
    init(_ code: CInt, _ operation: String) {
        self.code = Code(rawValue: code)
        self.operation = operation
        self.subject = .nothing
    }

    init(_ code: CInt, _ operation: String, _ descriptor: FileDescriptor) {
        self.code = Code(rawValue: code)
        self.operation = operation
        self.subject = .descriptor(descriptor.rawValue)
    }

    init(_ code: CInt, _ operation: String, _ text: String) {
        self.code = Code(rawValue: code)
        self.operation = operation
        self.subject = .text(text)
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
            case .descriptor(let number): "\(operation) descriptor \(number)"
            case .text(let text): "\(operation) \"\(text)\""
            }
        return "\(what): \(code.message) (\(code))"
    }
}
