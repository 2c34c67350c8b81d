internal import CSluice
private import Glibc
public import SystemPackage

/// A loop within another loop, and a loop in two processes.
extension EventLoop {
    /// A descriptor that is readable when there are events to be pulled without waiting. It stays
    /// the loop's. See also ``untilNext``.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/notSupported`` but on epoll.
    public func backendDescriptor() throws(SluiceError) -> FileDescriptor {
        let fd = unsafe sluice_backend_fd(handle)
        try check(fd, "find the backend's descriptor")
        return FileDescriptor(rawValue: fd)
    }

    /// After how long there may be an event to be pulled, though ``backendDescriptor()`` is not
    /// readable; `nil` for never, zero while what was gathered has not been pulled to the end.
    ///
    /// - Complexity: O(1).
    public var untilNext: Duration? {
        let nanoseconds = asked(unsafe sluice_until_next(handle))
        return nanoseconds == .max ? nil : .nanoseconds(max(0, nanoseconds))
    }

    /// Makes the loop usable in a process that was just forked; to be called there before anything
    /// else, by the thread that forked. Parent and child then have a loop each. They share the
    /// descriptors of streams, listeners and watches, and each hears its own signals. Posts that wait
    /// are the parent's, and so is what waits in a ``Mailbox``; those of the loop go on. Where this
    /// throws it can be called again.
    ///
    /// - Throws: ``SluiceError/Code/wrongState`` in the process that opened the loop,
    ///   ``SluiceError/Code/outOfMemory`` or an errno.
    public mutating func afterFork() throws(SluiceError) {
        // Here another thread may be posting, to what this makes anew.
        guard unsafe pulled.pointee.process != getpid() else {
            throw SluiceError(SLUICE_ESTATE.rawValue, "go on after fork where there was none")
        }
        poster.afterFork()
        for addressee in unsafe pulled.pointee.mailboxes { addressee.mailbox?.afterFork() }
        try check(unsafe sluice_after_fork(handle), "go on after fork")
        unsafe pulled.pointee.process = getpid()
    }
}
