internal import CSluice

/// The id of a signal that a loop reports.
public struct SignalID: Handle {
    /// ``HandleKind/signal``
    public static var kind: HandleKind { .signal }

    /// The id's number in the C interface.
    public let rawValue: UInt64

    /// The signal's number, such as `SIGINT`.
    public let number: CInt

    /// The id that has this number in the C interface. The number of its signal is not known, and
    /// is 0.
    @inlinable
    public init(rawValue: UInt64) {
        self.init(rawValue: rawValue, number: 0)
    }

    @usableFromInline
    init(rawValue: UInt64, number: CInt) {
        self.rawValue = rawValue
        self.number = number
    }
}

extension SignalID {
    /// Ids are equal if they stand for the same handle.
    public static func == (left: Self, right: Self) -> Bool {
        left.rawValue == right.rawValue
    }

    /// Hashes what ``==(_:_:)`` compares.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(rawValue)
    }
}

extension EventLoop {
    /// Gives ``Event/signal(_:)`` each time the signal comes. The kernel may merge signals that
    /// come in quick succession. The signal is blocked in this thread while the handle lives. A
    /// program with other threads must block it in them before they start.
    ///
    /// A child process that is started meanwhile has the signal blocked too, even if Foundation's
    /// `Process` starts it. End such a child by another signal.
    ///
    /// - Parameter number: the signal's number, such as `SIGINT`. Only one loop of a process may
    ///   have a signal.
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/alreadyRegistered`` if this loop has the signal already, or the
    ///   errno `invalidArgument` if it cannot be caught.
    @discardableResult
    public func addSignal(_ number: CInt) throws(SluiceError) -> SignalID {
        var id: UInt64 = 0
        let code = unsafe sluice_signal(handle, &id, number)
        try check(code, "add signal", .text("\(number)"))
        return SignalID(rawValue: id, number: number)
    }
}
