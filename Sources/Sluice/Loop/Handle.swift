public import CSluice

/// The id of something that a loop looks after: a ``StreamID``, ``ListenerID``, ``TimerID``,
/// ``SignalID``, ``WatchID`` or ``LookupID``.
///
/// An id is a small value that can be kept, compared and sent anywhere. When its handle has ended,
/// the id is stale for ever. A call with a stale id does nothing and says so by its result, or
/// throws ``SluiceError/Code/stale``. An id has a meaning only for the loop that it came from.
public protocol Handle: RawRepresentable, Hashable, Sendable, CustomStringConvertible
where RawValue == UInt64 {
    /// The kind of handle that the id stands for.
    static var kind: HandleKind { get }
}

/// The kinds of handles that a loop looks after.
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
    /// The kind of handle that an id stands for.
    @inlinable
    init?(of id: UInt64) {
        self.init(rawValue: UInt32(truncatingIfNeeded: id) >> SLUICE_SLOT_BITS.rawValue)
    }
}

extension Handle {
    /// The kind and the number, such as "stream 4294967296".
    public var description: String { "\(Self.kind) \(rawValue)" }
}

// What happens to one connection, or to another handle, is never thrown by a call. Otherwise a
// program that broadcasts would end because one of its streams has just ended. Such a call does
// nothing, and its result says so. Only errors of the program or of the machine are thrown. A call
// on the wrong thread is a fault of the program that no handler could repair. It ends the program
// with a message.

extension EventLoop {
    /// Ends a handle. A stream first sends what is queued, tells the peer, and waits until the peer
    /// has ended too, for at most ``StreamOptions/lingerTime``. Then it gives
    /// ``Event/closed(_:_:)``. Any other handle ends at once and gives no further event, not even
    /// one that was gathered already. The descriptor of a watch stays open.
    ///
    /// - Returns: whether the handle was there.
    /// - Complexity: O(1).
    @inlinable
    @discardableResult
    public func close<Named: Handle>(_ handle: Named) -> Bool {
        close(handle.rawValue)
    }

    /// Ends a handle at once. A stream gives ``Event/closed(_:_:)``, which says `reason` and how
    /// much was not sent. Any other handle ends as by ``close(_:)``.
    ///
    /// - Parameter reason: the error that the ending says. If it is not an error code, the ending
    ///   says the errno `connectionAbort`.
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

    /// The word that comes with each of the handle's events, as ``userWord``. At first it is the
    /// word that the handle was made with. A new connection begins with its listener's word.
    /// Otherwise it is 0. `nil` if the handle has ended.
    ///
    /// For state that is more than a word, use ``PerStream``.
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

/// The same calls for a raw id. The generic calls above are compiled into their callers.
extension EventLoop {
    @usableFromInline
    func close(_ id: UInt64) -> Bool {
        isDone(unsafe sluice_close(handle, id), id)
    }

    @usableFromInline
    func abort(_ id: UInt64, _ reason: SluiceError.Code) -> Bool {
        // A code that is not negative is no error.
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

    /// Whether a call on a handle did what it says.
    @inlinable
    @inline(__always)
    func isDone(_ code: CInt, _ id: UInt64) -> Bool {
        code >= 0 || isDoneNevertheless(code, id)
    }

    /// Out of line, so that a call that succeeds pays only for a comparison. If a stream has no
    /// room for what a call asks, the stream ends, and its last event says so.
    @usableFromInline
    @inline(never)
    func isDoneNevertheless(_ code: CInt, _ id: UInt64) -> Bool {
        let code = SluiceError.Code(rawValue: code)
        Self.heedThread(code)
        if code.saysNoRoom { _ = unsafe sluice_abort_with(handle, id, code.rawValue) }
        return false
    }

    /// Throws the error that a call returned, which is one of the program or of the machine.
    @inlinable
    @inline(__always)
    func check(
        _ code: CInt, _ operation: String,
        _ subject: @autoclosure () -> SluiceError.Subject = .nothing
    ) throws(SluiceError) {
        if code < 0 { throw refusal(code, operation, subject()) }
    }

    /// Out of line, so that a call that succeeds pays only for a comparison.
    @usableFromInline
    @inline(never)
    func refusal(
        _ code: CInt, _ operation: String, _ subject: SluiceError.Subject
    ) -> SluiceError {
        Self.heedThread(SluiceError.Code(rawValue: code))
        return SluiceError(code, operation, subject)
    }

    /// Ends the program if a call was made on the wrong thread.
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
    /// Whether this code says that a stream has no room for more: because of its own limit, the
    /// loop's limit, or the machine's memory.
    var saysNoRoom: Bool { self == .full || self == .outOfMemory }
}
