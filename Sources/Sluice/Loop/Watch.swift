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
        try check(code, "watch", .descriptor(descriptor))
        return WatchID(rawValue: id)
    }

    /// Replaces the interest of a watch, and arms it again after a one-shot event.
    ///
    /// - Returns: whether the watch was there.
    /// - Complexity: O(1).
    /// - Throws: what ``Poller/modify(_:interest:user:)`` throws.
    @discardableResult
    public func rewatch(_ watch: WatchID, for interest: Interest) throws(SluiceError) -> Bool {
        let code = unsafe sluice_rewatch(handle, watch.rawValue, interest.rawValue)
        if code == SLUICE_ESTALE.rawValue { return false }
        try check(code, "rewatch", .handle(.watch, watch.rawValue))
        return true
    }

    /// The descriptor of a watch, a stream or a listener; `nil` where that has ended, has none yet, or
    /// is of another kind. It stays the loop's, or the watcher's.
    ///
    /// - Complexity: O(1).
    public func descriptor<Named: Handle>(of handle: Named) -> FileDescriptor? {
        let number = unsafe sluice_fd(self.handle, handle.rawValue)
        return isDone(number, handle.rawValue) ? FileDescriptor(rawValue: number) : nil
    }
}
