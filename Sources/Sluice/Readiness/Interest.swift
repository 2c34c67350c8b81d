internal import CSluice

/// What to wait for on a descriptor.
///
/// The empty interest keeps a registration and silences it.
public struct Interest: OptionSet, Hashable, Sendable {
    /// The flags as the C interface has them.
    public let rawValue: UInt32

    /// The set that has these flags in the C interface.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    private init(_ flag: sluice_interest) {
        self.init(rawValue: flag.rawValue)
    }

    private init(_ flag: sluice_condition) {
        self.init(rawValue: flag.rawValue)
    }

    /// A read would not block: there are bytes, the end, an error, or a caller to accept.
    public static let read = Interest(SLUICE_READ)
    /// A write would not block: there is room, or an error.
    public static let write = Interest(SLUICE_WRITE)
    /// Out-of-band data is there: what select(2) calls exceptional.
    public static let priority = Interest(SLUICE_PRIORITY)
    /// Both directions are shut, or there is an error, and nothing else. It can stand alone, for a
    /// stream that is not read from at the moment, or beside others. Only if ``Poller/features``
    /// has ``Features/conditions``.
    public static let hangup = Interest(SLUICE_HANGUP)
    /// Report changes of readiness and not the state (edge-triggered). Only if ``Poller/features``
    /// has ``Features/edge``.
    public static let edge = Interest(SLUICE_EDGE)
    /// Silence the registration after one event, until it is modified.
    public static let oneShot = Interest(SLUICE_ONE_SHOT)
}

/// What a descriptor is ready for.
///
/// ``read``, ``write`` and ``priority`` mean the same on every backend. The others say more, and
/// select(2) cannot tell them.
public struct Readiness: OptionSet, Hashable, Sendable {
    /// The flags as the C interface has them.
    public let rawValue: UInt32

    /// The set that has these flags in the C interface.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    private init(_ flag: sluice_interest) {
        self.init(rawValue: flag.rawValue)
    }

    private init(_ flag: sluice_condition) {
        self.init(rawValue: flag.rawValue)
    }

    /// A read would not block.
    public static let read = Readiness(SLUICE_READ)
    /// A write would not block.
    public static let write = Readiness(SLUICE_WRITE)
    /// Out-of-band data is there.
    public static let priority = Readiness(SLUICE_PRIORITY)
    /// An error is pending, or a pipe's reader is gone.
    public static let error = Readiness(SLUICE_ERROR)
    /// Both directions are shut.
    public static let hangup = Readiness(SLUICE_HANGUP)
    /// The peer will send no more.
    public static let readClosed = Readiness(SLUICE_READ_CLOSED)
}

extension Readiness: CustomStringConvertible {
    /// The names of the flags, such as "read readClosed".
    public var description: String {
        let names: [(Readiness, String)] = [
            (.read, "read"), (.write, "write"), (.priority, "priority"),
            (.error, "error"), (.hangup, "hangup"), (.readClosed, "readClosed"),
        ]
        return names.filter { contains($0.0) }.map(\.1).joined(separator: " ")
    }
}

/// What a backend can do beyond level-triggered readiness.
public struct Features: OptionSet, Hashable, Sendable {
    /// The flags as the C interface has them.
    public let rawValue: UInt32

    /// The set that has these flags in the C interface.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    private init(_ feature: sluice_feature) {
        self.init(rawValue: feature.rawValue)
    }

    /// ``Interest/oneShot``: every backend has it.
    public static let oneShot = Features(SLUICE_FEATURE_ONE_SHOT)
    /// ``Interest/edge``: epoll has it, and libevent over it.
    public static let edge = Features(SLUICE_FEATURE_EDGE)
    /// ``Readiness/error``, ``Readiness/hangup`` and ``Readiness/readClosed`` are told apart, and
    /// ``Interest/hangup`` can be asked for: epoll and poll have it.
    public static let conditions = Features(SLUICE_FEATURE_CONDITIONS)
    /// ``Interest/priority``: every backend except libevent has it.
    public static let priority = Features(SLUICE_FEATURE_PRIORITY)
    /// ``Poller/setInterruptible(_:)`` and ``EventLoop/Options/isInterruptible``: every backend
    /// except libevent has it.
    public static let interruptible = Features(SLUICE_FEATURE_INTERRUPTIBLE)
}
