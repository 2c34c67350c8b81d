// A loop's thread as an executor, in the three forms that the runtime knows.
//
// The serial executor is the actor's: code that is isolated to the Loop runs on its thread. The
// task executor is the one that tasks prefer: code that is isolated to nothing runs on the thread,
// too. The parking executor runs nothing at all. A hop to its actor suspends the task and hands its
// job to the waiter. The job runs when the wait is over. Everything here waits in that way (see
// Waiter.swift).

@safe
final class LoopSerialExecutor: SerialExecutor {
    // The core owns this, and outlives everything that is isolated to its loop.
    private unowned(unsafe) let core: Core

    init(_ core: Core) {
        unsafe self.core = core
    }

    func enqueue(_ job: consuming ExecutorJob) {
        unsafe core.enqueue(UnownedJob(job), isGeneric: false)
    }

    func isIsolatingCurrentContext() -> Bool? { unsafe core.isCurrent }

    func checkIsolated() {
        unsafe require(
            core.isCurrent, "this is to run on the thread of its Loop, and does not")
    }
}

/// It keeps its core, because a task that prefers it may outlive everything else that does.
final class LoopTaskExecutor: TaskExecutor {
    private let core: Core

    init(_ core: Core) {
        self.core = core
    }

    func enqueue(_ job: consuming ExecutorJob) {
        core.enqueue(UnownedJob(job), isGeneric: true)
    }
}

/// A job that is enqueued here is kept by the waiter that the core names at that moment.
@safe
final class ParkingExecutor: SerialExecutor {
    // Set once, before the first hop. The core owns this.
    nonisolated(unsafe) unowned(unsafe) var core: Core!

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        unsafe core.unsafelyUnwrapped.parking.unsafelyUnwrapped._withUnsafeGuaranteedRef {
            unsafe $0.job = job
        }
    }

    // Its jobs are run on the loop's thread.
    func isIsolatingCurrentContext() -> Bool? { unsafe core.isCurrent }

    func checkIsolated() {
        unsafe require(core.isCurrent, "a wait has ended on another thread than its Loop's")
    }
}

/// A hop to this actor is a wait.
@safe
@usableFromInline
actor Parking {
    @usableFromInline nonisolated let unownedExecutor: UnownedSerialExecutor
    private let executor: ParkingExecutor

    @exclusivity(unchecked) @usableFromInline final nonisolated(unsafe) var waits: UInt = 0

    init(_ executor: ParkingExecutor) {
        self.executor = executor
        unsafe unownedExecutor = executor.asUnownedSerialExecutor()
    }

    /// Reached when the wait is over. It touches memory, because the compiler removes a hop to a
    /// function that does nothing.
    @inlinable
    @inline(__always)
    final func wait() {
        unsafe waits &+= 1
    }
}
