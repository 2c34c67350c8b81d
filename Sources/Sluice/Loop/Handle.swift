public import CSluice

/// The name of something that a loop looks after: a ``StreamID``, ``ListenerID``, ``TimerID``,
/// ``SignalID``, ``WatchID`` or ``LookupID``.
///
/// A name is a small value that can be kept, compared and sent anywhere. What it names ends on its
/// own time; from then on the name is stale, for ever, and a call that is given it throws
/// ``SluiceError/Code/stale``. A name means something to the loop that it came from only.
public protocol Handle: RawRepresentable, Hashable, Sendable, CustomStringConvertible
where RawValue == UInt64 {
    /// What the name is of.
    static var kind: HandleKind { get }
}

/// The kinds of what a loop looks after.
public enum HandleKind: UInt32, CaseIterable, Hashable, Sendable {
    /// ``WatchID``
    case watch = 1
    /// ``TimerID``
    case timer
    /// ``SignalID``
    case signal
    /// ``ListenerID``
    case listener
    /// ``StreamID``
    case stream
    /// ``LookupID``
    case lookup
}

extension HandleKind {
    /// What an id is of.
    @inlinable
    init?(of id: UInt64) {
        self.init(rawValue: UInt32(truncatingIfNeeded: id) >> SLUICE_SLOT_BITS.rawValue)
    }
}

extension Handle {
    /// The kind and the number, such as "stream 4294967296".
    public var description: String { "\(Self.kind) \(rawValue)" }
}

// What befalls one connection, or another handle, is never thrown at the call in hand: a program that
// broadcasts to a stream that has just ended would end with it. Such a call does nothing and says so.
// What is thrown is an error of the program or of the machine. The wrong thread is a fault of the
// program that no handler could mend, and ends it with a message.

extension EventLoop {
    /// Ends a handle. A stream first sends what is queued, tells the peer, and waits until the peer
    /// has ended too, at most for ``StreamOptions/lingerTime``; then it gives ``Event/closed(_:_:)``.
    /// Any other ends at once and gives no further event, not even one that was gathered already.
    /// The descriptor of a watch stays open.
    ///
    /// - Returns: whether the handle was there.
    /// - Complexity: O(1).
    @inlinable
    @discardableResult
    public func close<Named: Handle>(_ handle: Named) -> Bool {
        close(handle.rawValue)
    }

    /// Ends a handle at once. A stream gives ``Event/closed(_:_:)``, which says `reason` and how much
    /// was not sent; any other ends as by ``close(_:)``.
    ///
    /// - Parameter reason: what the ending is to say; the errno `connectionAbort` where it is none
    ///   of the errors there are.
    /// - Returns: whether the handle was there.
    /// - Complexity: O(1).
    @inlinable
    @discardableResult
    public func abort<Named: Handle>(
        _ handle: Named, because reason: SluiceError.Code = .aborted
    ) -> Bool {
        abort(handle.rawValue, reason)
    }

    /// Whether the handle has not ended.
    ///
    /// - Complexity: O(1).
    @inlinable
    public func isLive<Named: Handle>(_ handle: Named) -> Bool {
        kind(of: handle.rawValue) == Named.kind
    }

    /// The word that comes with each of the handle's events, as ``userWord``. At first it is the one
    /// that the handle was made with, its listener's for a new connection, or 0. `nil` where the
    /// handle has ended.
    ///
    /// For a state of more than a word there is ``PerStream``.
    ///
    /// - Complexity: O(1).
    @inlinable
    public func userWord<Named: Handle>(of handle: Named) -> UInt64? {
        userWord(of: handle.rawValue)
    }

    /// Sets the word that comes with each of the handle's events from the next pull on.
    ///
    /// - Returns: whether the handle was there.
    /// - Complexity: O(1).
    @inlinable
    @discardableResult
    public func setUserWord<Named: Handle>(_ word: UInt64, of handle: Named) -> Bool {
        setUserWord(word, of: handle.rawValue)
    }
}

/// The same for a number: what is generic above is compiled into its caller.
extension EventLoop {
    @usableFromInline
    func close(_ id: UInt64) -> Bool {
        isDone(unsafe sluice_close(handle, id), id)
    }

    @usableFromInline
    func abort(_ id: UInt64, _ reason: SluiceError.Code) -> Bool {
        // What is not negative is no error.
        let reason = reason.rawValue < 0 ? reason : .aborted
        return isDone(unsafe sluice_abort_with(handle, id, reason.rawValue), id)
    }

    @usableFromInline
    func kind(of id: UInt64) -> HandleKind? {
        let kind = unsafe sluice_kind_of(handle, id)
        return isDone(kind, id) ? HandleKind(rawValue: UInt32(kind)) : nil
    }

    @usableFromInline
    func userWord(of id: UInt64) -> UInt64? {
        var word: UInt64 = 0
        return isDone(unsafe sluice_user(handle, id, &word), id) ? word : nil
    }

    @usableFromInline
    func setUserWord(_ word: UInt64, of id: UInt64) -> Bool {
        isDone(unsafe sluice_set_user(handle, id, word), id)
    }

    /// Whether a call on a handle has done what it says.
    @inlinable
    @inline(__always)
    func isDone(_ code: CInt, _ id: UInt64) -> Bool {
        code >= 0 || isDoneNevertheless(code, id)
    }

    /// Out of line, so that a call that succeeds pays a comparison and no more. What a stream has no
    /// room for ends it, and its last event says so.
    @usableFromInline
    @inline(never)
    func isDoneNevertheless(_ code: CInt, _ id: UInt64) -> Bool {
        let code = SluiceError.Code(rawValue: code)
        Self.heedThread(code)
        if code.saysNoRoom { _ = unsafe sluice_abort_with(handle, id, code.rawValue) }
        return false
    }

    /// Throws what a call says that is an error of the program or of the machine.
    @inlinable
    @inline(__always)
    func check(
        _ code: CInt, _ operation: String,
        _ subject: @autoclosure () -> SluiceError.Subject = .nothing
    ) throws(SluiceError) {
        if code < 0 { throw refusal(code, operation, subject()) }
    }

    /// Out of line, so that a call that succeeds pays a comparison and no more.
    @usableFromInline
    @inline(never)
    func refusal(
        _ code: CInt, _ operation: String, _ subject: SluiceError.Subject
    ) -> SluiceError {
        Self.heedThread(SluiceError.Code(rawValue: code))
        return SluiceError(code, operation, subject)
    }

    /// Ends the program where a call was made on the wrong thread.
    static func heedThread(_ code: SluiceError.Code) {
        if code == .wrongThread {
            fatalError(
                """
                this EventLoop belongs to another thread than the one that uses it; call takeOver() \
                first, or hand a message to its thread by a Mailbox or a Poster
                """)
        }
    }
}

extension SluiceError.Code {
    /// Whether a call says by this that a stream has no room for more: its own limit, that of the
    /// loop, or the machine's memory.
    var saysNoRoom: Bool { self == .full || self == .outOfMemory }
}
