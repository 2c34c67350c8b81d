internal import CSluice
private import Glibc
public import SystemPackage

/// A loop within another loop, and a loop in two processes.
extension EventLoop {
    /// A file descriptor that is readable when there are events to be pulled without waiting. It
    /// stays the loop's. See also ``untilNext``.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/notSupported`` on every backend except epoll.
    public func backendDescriptor() throws(SluiceError) -> FileDescriptor {
        let fd = unsafe sluice_backend_fd(handle)
        try check(fd, "find the backend's descriptor")
        return FileDescriptor(rawValue: fd)
    }

    /// The time after which there may be an event to pull, even if ``backendDescriptor()`` is not
    /// readable by then. `nil` stands for never. Zero says that events that were gathered have not
    /// all been pulled.
    ///
    /// - Complexity: O(1).
    public var untilNext: Duration? {
        let nanoseconds = asked(unsafe sluice_until_next(handle))
        return nanoseconds == .max ? nil : .nanoseconds(max(0, nanoseconds))
    }

    /// Makes the loop usable in a process that was just forked. Call it in the child before
    /// anything else, on the thread that forked. Parent and child then have a loop each. They share
    /// the descriptors of streams, listeners and watches, and each receives its own signals. Posts
    /// that wait at the fork stay the parent's, and so do messages that wait in a ``Mailbox``. The
    /// loop's mailboxes go on working in the child. If this call throws, it can be made again.
    ///
    /// - Throws: ``SluiceError/Code/wrongState`` in the process that opened the loop,
    ///   ``SluiceError/Code/outOfMemory`` or an errno.
    public mutating func afterFork() throws(SluiceError) {
        // In the process that opened the loop, another thread may be posting to what this call
        // replaces.
        guard unsafe pulled.pointee.process != getpid() else {
            throw SluiceError(SLUICE_ESTATE.rawValue, "go on after fork where there was none")
        }
        poster.afterFork()
        for addressee in unsafe pulled.pointee.mailboxes { addressee.mailbox?.afterFork() }
        try check(unsafe sluice_after_fork(handle), "go on after fork")
        unsafe pulled.pointee.process = getpid()
    }
}
