internal import CSluice

/// The name of something that a loop looks after: a ``Stream``, ``Listener``, ``Timer``, ``Signal``
/// or ``Watch``.
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
    /// ``Watch``
    case watch = 1
    /// ``Timer``
    case timer
    /// ``Signal``
    case signal
    /// ``Listener``
    case listener
    /// ``Stream``
    case stream
}

extension Handle {
    /// The kind and the number, such as "stream 4294967296".
    public var description: String { "\(Self.kind) \(rawValue)" }
}

extension EventLoop {
    /// Ends a handle. A stream first sends what is queued, tells the peer, and waits until the peer
    /// has ended too, at most for ``Stream/Options/lingerTime``; then it gives
    /// ``Event/closed(_:_:)``. Any other ends at once and gives no further event, not even one that
    /// was gathered already. The descriptor of a watch stays open.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    public func close(_ handle: some Handle) throws(SluiceError) {
        try check(unsafe sluice_close(self.handle, handle.rawValue), "close", handle)
    }

    /// Ends a handle at once. A stream gives ``Event/closed(_:_:)``, which says how much was not
    /// sent; any other ends as by ``close(_:)``.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    public func abort(_ handle: some Handle) throws(SluiceError) {
        try check(unsafe sluice_abort(self.handle, handle.rawValue), "abort", handle)
    }

    /// Whether the handle has not ended.
    ///
    /// - Complexity: O(1).
    public func isLive<Named: Handle>(_ handle: Named) -> Bool {
        unsafe sluice_kind_of(self.handle, handle.rawValue) == CInt(Named.kind.rawValue)
    }

    /// The word that comes with each of the handle's events, as ``userWord``. It is 0 at first; a
    /// new connection has its listener's.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    public func userWord(of handle: some Handle) throws(SluiceError) -> UInt64 {
        var word: UInt64 = 0
        let code = unsafe sluice_user(self.handle, handle.rawValue, &word)
        try check(code, "find user word of", handle)
        return word
    }

    /// Sets the word that comes with each of the handle's events from the next pull on.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    public func setUserWord(_ word: UInt64, of handle: some Handle) throws(SluiceError) {
        try check(
            unsafe sluice_set_user(self.handle, handle.rawValue, word), "set user word of", handle)
    }

    /// Throws where a call on a handle was refused.
    @inline(__always)
    func check<Named: Handle>(
        _ code: CInt, _ operation: String, _ handle: Named
    ) throws(SluiceError) {
        if code < 0 { try refused(code, operation, Named.kind, handle.rawValue) }
    }

    /// Out of line, so that a call that succeeds pays a comparison and no more.
    @inline(never)
    private func refused(
        _ code: CInt, _ operation: String, _ kind: HandleKind, _ id: UInt64
    ) throws(SluiceError) {
        throw SluiceError(code, operation, kind, id)
    }
}
