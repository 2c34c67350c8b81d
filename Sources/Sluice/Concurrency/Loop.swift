private import Synchronization

/// A loop for structured concurrency: its thread is the executor. Code that is isolated to this
/// actor runs on that thread. So does the code of a task that prefers its ``executor``.
///
/// ```swift
/// let loop = try Loop.start()
/// try await loop.run {
///     try await loop.clock.sleep(for: .seconds(1))
/// }
/// await loop.stop()
/// ```
///
/// ``Server`` and ``Client`` start loops by themselves. Start one of your own to run other code
/// beside a server on one thread, or to use ``LoopClock``, ``Signals`` or ``Descriptor`` alone.
///
/// A thread that computes serves no connection. Move heavy work off it:
///
/// ```swift
/// let digest = await withTaskExecutorPreference(globalConcurrentExecutor) { hash(bytes) }
/// ```
@safe
public actor Loop {
    let core: Core
    private nonisolated let taskExecutor: LoopTaskExecutor
    nonisolated let preference: LoopTaskExecutor?

    /// The loop's thread.
    public nonisolated let unownedExecutor: UnownedSerialExecutor

    /// Whether tasks prefer the loop's thread, or only isolated code stays there.
    public enum Tasks: Hashable, Sendable {
        /// Everything that a handler calls stays on the loop's thread. This includes functions of
        /// packages that are not isolated, child tasks and default actors.
        case onLoop
        /// Code that is isolated to the loop stays there, and code that is not isolated leaves it.
        /// This is for programs that are built with NonisolatedNonsendingByDefault throughout. It
        /// saves some 370 instructions a wait.
        case isolatedOnly
    }

    private init(_ core: Core, _ tasks: Tasks) {
        self.core = core
        taskExecutor = LoopTaskExecutor(core)
        preference = tasks == .onLoop ? taskExecutor : nil
        if tasks == .onLoop { core.prefer(taskExecutor) }
        unsafe unownedExecutor = core.serial
    }

    /// A task of the loop holds the loop. So nothing runs on it here.
    deinit {
        core.stop()
    }

    /// Starts a thread with a loop. The thread ends with ``stop()``, or with the last reference to
    /// the loop.
    ///
    /// - Throws: what ``EventLoop/init(_:options:)`` throws, or an errno if no more threads can be
    ///   started.
    public static func start(
        _ backend: Backend? = nil, options: EventLoop.Options = EventLoop.Options(),
        tasks: Tasks = .onLoop
    ) throws(SluiceError) -> Loop {
        let core = Core(try EventLoop(backend, options: options))
        let loop = Loop(core, tasks)
        unsafe core.owner = loop
        try core.start()
        return loop
    }

    /// Runs a loop on the calling thread, such as a program's first thread. Returns when `body` has
    /// returned and nothing is left on the loop. `body` runs on that thread.
    ///
    /// ```swift
    /// try Loop.runHere { loop in
    ///     try await loop.serve(on: "localhost:9999") { connection in … }
    /// }
    /// ```
    ///
    /// The thread does nothing else meanwhile. If it is the main thread, nothing runs on the main
    /// actor: do not wait for that actor.
    ///
    /// - Throws: what ``start(_:options:tasks:)`` throws, and what `body` throws.
    @available(*, noasync, message: "it blocks its thread; use start, or Server.run")
    public static func runHere<Result: Sendable>(
        _ backend: Backend? = nil, options: EventLoop.Options = EventLoop.Options(),
        tasks: Tasks = .onLoop,
        _ body: nonisolated(nonsending) @escaping @Sendable (Loop) async throws -> Result
    ) throws -> Result {
        require(Core.current == nil, "the thread runs a loop already")
        let core = Core(try EventLoop(backend, options: options))
        let loop = Loop(core, tasks)
        unsafe core.owner = loop
        let outcome = Outcome<Result>()
        core.willRun()
        Task(executorPreference: loop.preference) {
            do {
                let result = try await loop.run { try await body(loop) }
                outcome.set(.success(result))
            } catch {
                outcome.set(.failure(error))
            }
            core.stop()
        }
        core.run()
        return try outcome.get()
    }

    /// The outcome of a body. It is set before the loop ends, and read after that.
    private final class Outcome<Result: Sendable>: Sendable {
        private let result = Mutex<Swift.Result<Result, any Error>?>(nil)

        func set(_ result: Swift.Result<Result, any Error>) { self.result.withLock { $0 = result } }

        func get() throws -> Result {
            guard let result = result.withLock({ $0 }) else {
                fatalError("a loop has ended before its body has")
            }
            return try result.get()
        }
    }

    /// The loop whose thread the caller is on; `nil` if there is none.
    static var current: Loop? {
        unsafe Core.current?.owner
    }

    /// The loop that is used if no loop is named and none runs the caller. It is started when it is
    /// first asked for, and never stopped.
    static func shared() throws(SluiceError) -> Loop {
        try sharedLoop.get()
    }

    private static let sharedLoop: Result<Loop, SluiceError> = Result { () throws(SluiceError) in
        try start()
    }

    /// The executor of tasks that prefer the loop's thread, for `withTaskExecutorPreference` and
    /// `Task(executorPreference:)`.
    public nonisolated var executor: any TaskExecutor { taskExecutor }

    /// A clock whose sleeps are the loop's timers.
    public nonisolated var clock: LoopClock { LoopClock(self) }

    /// Whether the caller is on the loop's thread.
    public nonisolated var isCurrent: Bool { core.isCurrent }

    /// Runs `body` on the loop's thread.
    public func run<Result: Sendable, Failure: Error>(
        _ body: nonisolated(nonsending) @Sendable () async throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        try await preferring { () async throws(Failure) in try await body() }
    }

    /// Makes the code that `body` calls prefer the loop's thread, if tasks of the loop do.
    func preferring<Result, Failure: Error>(
        _ body: nonisolated(nonsending) () async throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        guard let preference else { return try await body() }
        return try await withTaskExecutorPreference(preference) { () async throws(Failure) in
            _ = self
            return try await body()
        }
    }

    /// What the loop has done since it was started, and what it holds now.
    public var statistics: EventLoop.Statistics { core.loop.statistics }

    /// Makes the thread end when nothing is left to do on it, and waits until it has ended.
    /// Connections, listeners and sleeps are something to do. A job that is enqueued later starts
    /// another thread.
    public nonisolated func stop() async {
        core.stop()
        await core.waitForEnd()
    }
}
