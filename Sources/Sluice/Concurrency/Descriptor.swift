internal import CSluice
public import SystemPackage

/// A file descriptor that somebody else owns, such as a pipe or a library's socket. Tasks wait on a
/// loop until it is ready.
///
/// ```swift
/// let pipe = try await loop.watch(descriptor)
/// while true {
///     try await pipe.readable()
///     guard try receive(descriptor) else { break }
/// }
/// pipe.end()
/// ```
///
/// The descriptor stays its owner's. End this watch before the descriptor is closed. A watch that
/// is dropped ends, too. Two tasks may wait, one for each direction.
public final class Descriptor: Sendable {
    private let loop: Loop
    fileprivate let watch: DescriptorWatch

    fileprivate init(_ loop: Loop, _ descriptor: FileDescriptor) throws(SluiceError) {
        self.loop = loop
        watch = try DescriptorWatch(loop.core, descriptor)
    }

    deinit {
        watch.end()
    }

    /// Waits until a read would not block: there are bytes, the end, or an error.
    ///
    /// - Throws: `CancellationError`; ``SluiceError`` if the watch has ended.
    public nonisolated(nonsending) func readable() async throws {
        try await loop.wait(for: .read, of: self)
    }

    /// Waits until a write would not block: there is room, or an error.
    ///
    /// - Throws: as ``readable()``.
    public nonisolated(nonsending) func writable() async throws {
        try await loop.wait(for: .write, of: self)
    }

    /// Ends the watch. Tasks that wait get an error.
    public func end() { watch.end() }
}

/// The loop's part of a ``Descriptor``. The loop refers to it until it has ended. It is an object
/// of its own, because the loop's reference would otherwise keep a descriptor that nobody holds.
// Sendable: all that changes is used only on the loop's thread.
@safe
private final class DescriptorWatch: Waiter, @unchecked Sendable {
    private let core: Core
    private var watch: WatchID?
    private let writer = Waiter()
    /// The directions that tasks wait for.
    private var interest: Interest = []

    init(_ core: Core, _ descriptor: FileDescriptor) throws(SluiceError) {
        self.core = core
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

    func wait(_ direction: Interest, on loop: isolated Loop) async throws {
        let waiter = direction == .read ? self : writer
        require(unsafe waiter.job == nil, "two tasks wait for one direction of a descriptor")
        try Task.checkCancellation()
        guard let watch else {
            throw SluiceError(SLUICE_ESTALE.rawValue, "wait for descriptor")
        }
        interest.insert(direction)
        try core.loop.rewatch(watch, for: [interest, .oneShot])
        let wasCancelled = await core.parkCancellably(waiter, isolation: loop)
        if wasCancelled && interest.contains(direction) {
            interest.remove(direction)
            throw CancellationError()
        }
        if self.watch == nil { throw SluiceError(SLUICE_ESTALE.rawValue, "wait for descriptor") }
    }

    func end() {
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
    /// Watches a file descriptor, which stays its owner's.
    ///
    /// - Throws: what ``EventLoop/watch(_:for:userWord:)`` throws.
    public func watch(_ descriptor: FileDescriptor) throws(SluiceError) -> Descriptor {
        try Descriptor(self, descriptor)
    }

    fileprivate func wait(for direction: Interest, of descriptor: Descriptor) async throws {
        try await descriptor.watch.wait(direction, on: self)
    }
}
