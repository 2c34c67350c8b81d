internal import CSluice
public import SystemPackage

/// A descriptor of somebody else's, such as a pipe or a library's socket, whose readiness tasks wait
/// for on a loop.
///
/// ```swift
/// let pipe = try loop.watch(descriptor)
/// while true {
///     try await pipe.readable()
///     guard try receive(descriptor) else { break }
/// }
/// try await pipe.end()
/// ```
///
/// It stays its owner's: end this before it is closed. Two tasks may wait, one for each direction.
@safe
public final class Descriptor: Waiter, @unchecked Sendable {
    // Sendable: all that changes is used on the loop's thread alone.

    private let loop: Loop
    private let core: Core
    private var watch: WatchID?
    private let writer = Waiter()
    /// What is waited for.
    private var interest: Interest = []

    fileprivate init(_ loop: Loop, _ descriptor: FileDescriptor) throws(SluiceError) {
        self.loop = loop
        core = loop.core
        super.init()
        let word = unsafe Unmanaged<Waiter>.retainedWord(self)
        do {
            watch = try core.loop.watch(descriptor, for: .oneShot, userWord: word)
            unsafe core.living += 1
        } catch {
            unsafe Unmanaged.passUnretained(self).release()
            throw error
        }
    }

    override func fire(_ core: Core, _ flags: UInt32) {
        let readiness = Readiness(rawValue: flags)
        let isOver = !readiness.isDisjoint(with: [.error, .hangup])
        if isOver || readiness.contains(.write) { interest.remove(.write) }
        if isOver || !readiness.isDisjoint(with: [.read, .readClosed]) { interest.remove(.read) }
        let waits = interest
        if !waits.contains(.read) { wake(core) }
        if !waits.contains(.write) { writer.wake(core) }
        if !waits.isEmpty, let watch { _ = try? core.loop.rewatch(watch, for: [waits, .oneShot]) }
    }

    /// Waits until a read would not block: there is something, the end, or an error.
    ///
    /// - Throws: `CancellationError`; ``SluiceError`` where the watch has ended.
    public nonisolated(nonsending) func readable() async throws {
        // Within an actor of others the wait may end on another thread.
        guard unsafe core.isCurrent && !core.isGenericNow else {
            return try await loop.readable(self)
        }
        try await wait(.read, self)
    }

    /// Waits until a write would not block: there is room, or an error.
    ///
    /// - Throws: as ``readable()``.
    public nonisolated(nonsending) func writable() async throws {
        guard unsafe core.isCurrent && !core.isGenericNow else {
            return try await loop.writable(self)
        }
        try await wait(.write, writer)
    }

    private nonisolated(nonsending) func wait(_ direction: Interest, _ waiter: Waiter) async throws
    {
        precondition(unsafe waiter.job == nil, "two tasks wait for one direction of a descriptor")
        try Task.checkCancellation()
        guard let watch else {
            throw SluiceError(SLUICE_ESTALE.rawValue, "wait for descriptor")
        }
        interest.insert(direction)
        try core.loop.rewatch(watch, for: [interest, .oneShot])
        let wasCancelled = await core.parkCancellably(waiter)
        if wasCancelled && interest.contains(direction) {
            interest.remove(direction)
            throw CancellationError()
        }
        if self.watch == nil { throw SluiceError(SLUICE_ESTALE.rawValue, "wait for descriptor") }
    }

    /// Ends the watch. Who waits is told so.
    public func end() {
        core.perform { [self] in
            guard let watch else { return }
            self.watch = nil
            core.loop.close(watch)
            unsafe core.living -= 1
            interest = []
            wake(core)
            writer.wake(core)
            unsafe Unmanaged.passUnretained(self).release()
        }
    }
}

extension Loop {
    /// Watches a descriptor, which stays its owner's.
    ///
    /// - Throws: what ``EventLoop/watch(_:for:userWord:)`` does.
    public func watch(_ descriptor: FileDescriptor) throws(SluiceError) -> Descriptor {
        try Descriptor(self, descriptor)
    }

    fileprivate func readable(_ descriptor: Descriptor) async throws {
        try await descriptor.readable()
    }

    fileprivate func writable(_ descriptor: Descriptor) async throws {
        try await descriptor.writable()
    }
}
