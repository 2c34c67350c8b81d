internal import CSluice
private import Glibc
public import SystemPackage

/// A set of registered descriptors, and the system call that waits until some are ready.
///
/// ```swift
/// var poller = try Poller()
/// try poller.add(server, interest: .read)
/// while true {
///     try poller.wait()
///     while let event = poller.next() {
///         …                               // add, modify and remove as you like
///     }
/// }
/// ```
///
/// A poller belongs to one thread at a time. It is noncopyable, so the compiler makes sure of that.
/// Only its ``waker`` may be used from another thread. A poller closes itself but none of the
/// descriptors, which stay their owners'. Remove a descriptor before closing it.
@safe
public struct Poller: ~Copyable {
    private let handle: OpaquePointer
    private let events: UnsafeMutableBufferPointer<sluice_ready>
    private var count = 0
    private var position = 0
    /// The process that the poller was made in, or that has it after a fork.
    private var process = getpid()

    /// Ends a wait from any thread.
    public let waker: Waker

    /// One descriptor that is ready.
    public struct Event: Hashable, Sendable {
        /// The registered descriptor.
        public let descriptor: FileDescriptor
        /// What it is ready for.
        public let readiness: Readiness
        /// The user word of its registration.
        public let user: UInt64
    }

    /// Makes a poller over `backend`. For `nil` it takes the backend that `SLUICE_BACKEND` names in
    /// the environment. If that is unset or empty, it takes the best there is.
    ///
    /// - Parameter batch: how many events a wait gathers at most; at least 1. Events take no other
    ///   memory.
    /// - Throws: ``SluiceError/Code/unknownBackend``, ``SluiceError/Code/noCapacity`` or an errno.
    public init(_ backend: Backend? = nil, batch: Int = 256) throws(SluiceError) {
        guard batch >= 1, batch <= Int(CInt.max) else {
            throw SluiceError(
                SLUICE_ECAPACITY.rawValue, "create poller with batch", .text("\(batch)"))
        }
        Backend.registration
        var created: OpaquePointer?
        let result =
            if let backend {
                unsafe backend.name.withCString { unsafe sluice_poller_create(&created, $0) }
            } else {
                unsafe sluice_poller_create(&created, nil)
            }
        guard let created = unsafe created else {
            throw SluiceError(
                result, "create poller", .text(backend?.name ?? Backend.environmentSetting))
        }
        unsafe handle = created
        unsafe events = .allocate(capacity: batch)
        unsafe events.initialize(repeating: sluice_ready())
        waker = unsafe Waker(handle)
    }

    deinit {
        // A thread that was about to use the waker at a fork does not exist in the child.
        if process != getpid() { waker.afterFork() }
        waker.retire()
        unsafe sluice_poller_destroy(handle)
        unsafe events.deallocate()
    }

    /// The backend in use.
    public var backend: Backend {
        // The poller was made over an existing backend, so there is one of that name.
        unsafe Backend(String(cString: sluice_poller_backend_name(handle)))!
    }

    /// What the backend can do beyond level-triggered readiness.
    public var features: Features {
        unsafe Features(rawValue: sluice_poller_features(handle))
    }

    /// Registers a descriptor. `user` comes back with each of its events.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/badDescriptor``, ``SluiceError/Code/alreadyRegistered``,
    ///   ``SluiceError/Code/notSupported`` for an edge or priority that the backend does not have,
    ///   ``SluiceError/Code/unknownInterest``, ``SluiceError/Code/outOfMemory``.
    public mutating func add(
        _ descriptor: FileDescriptor, interest: Interest, user: UInt64 = 0
    ) throws(SluiceError) {
        let code = unsafe sluice_poller_add(
            handle, descriptor.rawValue, interest.rawValue, user)
        guard code >= 0 else { throw SluiceError(code, "add", .descriptor(descriptor)) }
    }

    /// Replaces the interest and the user word of a registration, and arms it again after a
    /// one-shot event.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/notRegistered``, and what
    ///   ``add(_:interest:user:)`` throws.
    public mutating func modify(
        _ descriptor: FileDescriptor, interest: Interest, user: UInt64 = 0
    ) throws(SluiceError) {
        let code = unsafe sluice_poller_modify(
            handle, descriptor.rawValue, interest.rawValue, user)
        guard code >= 0 else { throw SluiceError(code, "modify", .descriptor(descriptor)) }
    }

    /// Ends a registration, whether its descriptor is still open or not. None of its events comes
    /// any more, not even one that was gathered already.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/notRegistered``.
    public mutating func remove(_ descriptor: FileDescriptor) throws(SluiceError) {
        let code = unsafe sluice_poller_remove(handle, descriptor.rawValue)
        guard code >= 0 else { throw SluiceError(code, "remove", .descriptor(descriptor)) }
    }

    /// Waits until a descriptor is ready, the ``waker`` is used or the timeout is over, and gathers
    /// the events for ``next()``. Events of the last wait that were not pulled are dropped.
    /// Level-triggered ones come again.
    ///
    /// With a `timeout` of `nil` it waits for ever. With zero or less it looks and does not wait. A
    /// signal neither ends the wait nor prolongs it, unless ``setInterruptible(_:)`` asks for that.
    ///
    /// - Returns: how many events were gathered; 0 when the time is up, or after a wake.
    /// - Complexity: O(events) with epoll, O(registrations) with poll, O(highest number) with
    ///   select. One system call, no allocation.
    /// - Throws: ``SluiceError/Code/interrupted``, only if it was asked for.
    @discardableResult
    public mutating func wait(timeout: Duration? = nil) throws(SluiceError) -> Int {
        position = 0
        count = 0
        let result = unsafe sluice_poller_wait(
            handle, events.baseAddress, CInt(events.count), timeout.timeoutInNanoseconds)
        guard result >= 0 else { throw SluiceError(result, "wait") }
        count = Int(result)
        return count
    }

    /// Sets whether a signal whose handler ran during a wait ends the wait, with
    /// ``SluiceError/Code/interrupted``. A signal that comes before the wait has begun does not end
    /// it. A wake ends it in any case.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/notSupported`` if the backend has no
    ///   ``Features/interruptible``.
    public mutating func setInterruptible(_ isInterruptible: Bool) throws(SluiceError) {
        let code = unsafe sluice_poller_set_flags(
            handle, isInterruptible ? SLUICE_INTERRUPTIBLE.rawValue : 0)
        guard code >= 0 else { throw SluiceError(code, "have signals interrupt") }
    }

    /// A descriptor that is readable while a ``wait(timeout:)`` with a timeout of zero would bring
    /// an event or end by a wake. It is for a wait in a loop of another kind. It stays the
    /// poller's: do not read it.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/notSupported`` on every backend except epoll.
    public mutating func backendDescriptor() throws(SluiceError) -> FileDescriptor {
        let fd = unsafe sluice_poller_backend_fd(handle)
        guard fd >= 0 else { throw SluiceError(fd, "find the backend's descriptor") }
        return FileDescriptor(rawValue: fd)
    }

    /// Makes the poller usable in a process that was just forked. Call it in the child before
    /// anything else. Parent and child then have the same registrations, and share none.
    ///
    /// - Complexity: O(registrations).
    /// - Throws: ``SluiceError/Code/wrongState`` in the process that made the poller,
    ///   ``SluiceError/Code/outOfMemory`` or an errno. It can be called again then.
    public mutating func afterFork() throws(SluiceError) {
        // In the process that made the poller, another thread may be waking it by what this call
        // replaces.
        guard process != getpid() else {
            throw SluiceError(SLUICE_ESTATE.rawValue, "go on after fork where there was none")
        }
        waker.afterFork()
        let code = unsafe sluice_poller_after_fork(handle)
        guard code >= 0 else { throw SluiceError(code, "go on after fork") }
        process = getpid()
    }

    /// The next event of the last wait, or `nil` when there is none left. Events of a registration
    /// that was removed since are passed over.
    ///
    /// - Complexity: O(1), without an allocation.
    public mutating func next() -> Event? {
        while position < count {
            let event = unsafe events.baseAddress! + position
            position += 1
            guard unsafe sluice_poller_is_current(handle, event) == 1 else { continue }
            return unsafe Event(
                descriptor: FileDescriptor(rawValue: event.pointee.fd),
                readiness: Readiness(rawValue: event.pointee.flags),
                user: event.pointee.user)
        }
        return nil
    }
}
