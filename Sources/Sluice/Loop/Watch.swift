internal import CSluice
public import SystemPackage

/// Names a watch on a descriptor that a loop does not own.
public struct WatchID: Handle {
    /// ``HandleKind/watch``
    public static var kind: HandleKind { .watch }

    /// The name as the C interface has it.
    public let rawValue: UInt64

    /// The name that the C interface has so.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

extension EventLoop {
    /// Gives ``Event/ready(_:_:)`` when the descriptor is ready, as a ``Poller`` would. The
    /// descriptor stays its owner's; close the watch before it.
    ///
    /// - Parameter userWord: comes with each of its events, as ``EventLoop/userWord``.
    /// - Complexity: O(1).
    /// - Throws: what ``Poller/add(_:interest:user:)`` throws.
    @discardableResult
    public func watch(
        _ descriptor: FileDescriptor, for interest: Interest, userWord: UInt64 = 0
    ) throws(SluiceError) -> WatchID {
        var id: UInt64 = 0
        let code = unsafe sluice_watch(
            handle, &id, descriptor.rawValue, interest.rawValue, userWord)
        guard code >= 0 else { throw SluiceError(code, "watch", descriptor) }
        return WatchID(rawValue: id)
    }

    /// Replaces the interest of a watch, and arms it again after a one-shot event.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``, and what
    ///   ``Poller/modify(_:interest:user:)`` throws.
    public func rewatch(_ watch: WatchID, for interest: Interest) throws(SluiceError) {
        try check(
            unsafe sluice_rewatch(handle, watch.rawValue, interest.rawValue), "rewatch", watch)
    }

    /// The descriptor of a watch, a stream or a listener. It stays the loop's, or the watcher's.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``, ``SluiceError/Code/wrongKind``.
    public func descriptor(of handle: some Handle) throws(SluiceError) -> FileDescriptor {
        let code = unsafe sluice_fd(self.handle, handle.rawValue)
        try check(code, "find descriptor of", handle)
        return FileDescriptor(rawValue: code)
    }
}
