internal import CSluice

/// Names a signal that a loop looks out for.
public struct SignalID: Handle {
    /// ``HandleKind/signal``
    public static var kind: HandleKind { .signal }

    /// The name as the C interface has it.
    public let rawValue: UInt64

    /// The signal's number, such as `SIGINT`.
    public let number: CInt

    /// The name that the C interface has so, of a signal whose number is not known.
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
    /// Names are the same where they name the same.
    public static func == (left: Self, right: Self) -> Bool {
        left.rawValue == right.rawValue
    }

    /// Hashes what ``==(_:_:)`` compares.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(rawValue)
    }
}

extension EventLoop {
    /// Gives ``Event/signal(_:)`` each time the signal comes; those that come in quick succession
    /// may be one to the kernel. The signal is blocked in this thread while the handle lives. A
    /// program with more threads blocks it in them before they start.
    ///
    /// A child process that is started meanwhile has it blocked, too, also where Foundation's `Process`
    /// starts it: end such a child by another signal.
    ///
    /// - Parameter number: such as `SIGINT`. One loop of a process may have a signal.
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/alreadyRegistered`` where this loop has it, or the errno
    ///   `invalidArgument` where it cannot be caught.
    @discardableResult
    public func addSignal(_ number: CInt) throws(SluiceError) -> SignalID {
        var id: UInt64 = 0
        let code = unsafe sluice_signal(handle, &id, number)
        try check(code, "add signal", .text("\(number)"))
        return SignalID(rawValue: id, number: number)
    }
}
