internal import CSluice

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

extension Handle {
    /// The kind and the number, such as "stream 4294967296".
    public var description: String { "\(Self.kind) \(rawValue)" }
}

extension EventLoop {
    /// Ends a handle. A stream first sends what is queued, tells the peer, and waits until the peer
    /// has ended too, at most for ``StreamOptions/lingerTime``; then it gives
    /// ``Event/closed(_:_:)``. Any other ends at once and gives no further event, not even one that
    /// was gathered already. The descriptor of a watch stays open.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    @inlinable
    public func close<Named: Handle>(_ handle: Named) throws(SluiceError) {
        try close(handle.rawValue, Named.kind)
    }

    /// Ends a handle at once. A stream gives ``Event/closed(_:_:)``, which says how much was not
    /// sent; any other ends as by ``close(_:)``.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    @inlinable
    public func abort<Named: Handle>(_ handle: Named) throws(SluiceError) {
        try abort(handle.rawValue, Named.kind)
    }

    /// Whether the handle has not ended.
    ///
    /// - Complexity: O(1).
    @inlinable
    public func isLive<Named: Handle>(_ handle: Named) -> Bool {
        isLive(handle.rawValue, Named.kind)
    }

    /// The word that comes with each of the handle's events, as ``userWord``. At first it is the one
    /// that the handle was made with, its listener's for a new connection, or 0.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    @inlinable
    public func userWord<Named: Handle>(of handle: Named) throws(SluiceError) -> UInt64 {
        try userWord(of: handle.rawValue, Named.kind)
    }

    /// Sets the word that comes with each of the handle's events from the next pull on.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    @inlinable
    public func setUserWord<Named: Handle>(
        _ word: UInt64, of handle: Named
    ) throws(SluiceError) {
        try setUserWord(word, of: handle.rawValue, Named.kind)
    }
}

/// The same for a kind and a number: what is generic above is compiled into its caller, which need
/// not ask a table for them.
extension EventLoop {
    @usableFromInline
    func close(_ id: UInt64, _ kind: HandleKind) throws(SluiceError) {
        try check(unsafe sluice_close(handle, id), "close", kind, id)
    }

    @usableFromInline
    func abort(_ id: UInt64, _ kind: HandleKind) throws(SluiceError) {
        try check(unsafe sluice_abort(handle, id), "abort", kind, id)
    }

    @usableFromInline
    func isLive(_ id: UInt64, _ kind: HandleKind) -> Bool {
        unsafe sluice_kind_of(handle, id) == CInt(kind.rawValue)
    }

    @usableFromInline
    func userWord(of id: UInt64, _ kind: HandleKind) throws(SluiceError) -> UInt64 {
        var word: UInt64 = 0
        try check(unsafe sluice_user(handle, id, &word), "find user word of", kind, id)
        return word
    }

    @usableFromInline
    func setUserWord(
        _ word: UInt64, of id: UInt64, _ kind: HandleKind
    ) throws(SluiceError) {
        try check(unsafe sluice_set_user(handle, id, word), "set user word of", kind, id)
    }

    /// Throws where a call on a handle was refused.
    @inlinable
    @inline(__always)
    func check<Named: Handle>(
        _ code: CInt, _ operation: String, _ handle: Named
    ) throws(SluiceError) {
        try check(code, operation, Named.kind, handle.rawValue)
    }

    @inlinable
    @inline(__always)
    func check(
        _ code: CInt, _ operation: String, _ kind: HandleKind, _ id: UInt64
    ) throws(SluiceError) {
        if code < 0 { try refused(code, operation, kind, id) }
    }

    /// Out of line, so that a call that succeeds pays a comparison and no more.
    @usableFromInline
    @inline(never)
    func refused(
        _ code: CInt, _ operation: String, _ kind: HandleKind, _ id: UInt64
    ) throws(SluiceError) {
        throw SluiceError(code, operation, kind, id)
    }
}
