internal import CSluice
public import SystemPackage

/// The id of a watch on a file descriptor that a loop does not own.
public struct WatchID: Handle {
    /// ``HandleKind/watch``
    public static var kind: HandleKind { .watch }

    /// The id's number in the C interface.
    public let rawValue: UInt64

    /// The id that has this number in the C interface.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

extension EventLoop {
    /// Gives ``Event/ready(_:_:)`` when the descriptor is ready, as a ``Poller`` would. The
    /// descriptor stays its owner's. Close the watch before the descriptor.
    ///
    /// - Parameter userWord: the word that comes with each of the watch's events, as
    ///   ``EventLoop/userWord``.
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

    /// The descriptor of a watch, a stream or a listener. `nil` if the handle has ended, has no
    /// descriptor yet, or is of another kind. The descriptor stays the loop's, or its owner's for a
    /// watch.
    ///
    /// - Complexity: O(1).
    public func descriptor<Named: Handle>(of handle: Named) -> FileDescriptor? {
        let number = unsafe sluice_fd(self.handle, handle.rawValue)
        return isDone(number, handle.rawValue) ? FileDescriptor(rawValue: number) : nil
    }
}
