/// One wait on a loop: it has the job of a task that has stopped, until something runs that job.
///
/// A waiter has one job or none, and the job is taken out to be run. So a wait can end only once,
/// and a waiter that does not wait cannot be woken. All of it belongs to the loop's thread.
/// ``Connection`` is a waiter. No member of this class is for users of the module.
@safe
public class Waiter {
    // Small members come last, because a subclass begins with small ones. There are as many waiters
    // as connections.

    @exclusivity(unchecked) @usableFromInline final var job: UnownedJob?
    /// The connection whose home task waits here: see ``Connection/homeTask``.
    @exclusivity(unchecked) @usableFromInline final var home: Unmanaged<Connection>?
    /// The number of the wait. A cancellation from another thread may come too late. Its number is
    /// then not the current one.
    @exclusivity(unchecked) final var number: UInt32 = 0
    @exclusivity(unchecked) final var wasCancelled = false
    /// Whether the code that waits is isolated to nothing, and not to the loop.
    @exclusivity(unchecked) @usableFromInline final var isGeneric = false

    @usableFromInline
    init() {}

    /// What a timer or a watch of this waiter does when its event comes.
    func fire(_ core: Core, _ flags: UInt32) {
        wake(core)
    }

    /// Ends the wait, if there is one: its job runs soon.
    final func wake(_ core: Core) {
        guard let job = unsafe job else { return }
        unsafe self.job = nil
        unsafe number &+= 1
        #if DEBUG
            unsafe core.watchdog.wakes(job, of: home?.takeUnretainedValue())
        #endif
        core.push(job, isGeneric: unsafe isGeneric)
    }
}

extension Core {
    /// Waits until `waiter` is woken. Call it on the loop's thread.
    ///
    /// Nothing runs on the thread between the assignment and the hop's end in ``ParkingExecutor``,
    /// because the runtime enqueues within the hop. Tests/SluiceTests/AsyncRuntimeTests.swift
    /// notices a runtime that does not. Decided against: a continuation instead, as a setting. It
    /// resumes where the task prefers to be, or on the global pool. So neither the order nor the
    /// place of what follows a wait would be as promised.
    @inlinable
    @inline(__always)
    nonisolated(nonsending) func park(_ waiter: Waiter) async {
        unsafe parking = .passUnretained(waiter)
        unsafe waiter.isGeneric = isGenericNow
        unsafe waiter.home = homeNow
        await parker.wait()
    }

    /// Waits until `waiter` is woken or the task is cancelled. Returns whether it was cancelled.
    // It has an isolated parameter, because a closure in nonisolated(nonsending) code that is given
    // to withTaskCancellationHandler is isolated to nothing, and would leave the loop (6.3). An
    // actor's method passes itself. Code that is given its isolation forgets it when the optimizer
    // inlines it (6.3), and then the event may come before the wait.
    func parkCancellably(
        _ waiter: Waiter, isolation: isolated (any Actor)? = #isolation
    ) async -> Bool {
        let number = unsafe waiter.number
        unsafe waiter.wasCancelled = false
        let reference = WaiterReference(waiter)
        await withTaskCancellationHandler {
            _ = isolation
            require(isCurrent, "a wait begins on another thread than its Loop's")
            // Checked here, because other jobs may have run on the way.
            require(unsafe waiter.job == nil, "two tasks wait for one thing; let one do it")
            if unsafe !waiter.wasCancelled { await park(waiter) }
        } onCancel: {
            perform {
                let waiter = reference.waiter
                guard unsafe waiter.number == number else { return }
                unsafe waiter.wasCancelled = true
                waiter.wake(self)
            }
        }
        return unsafe waiter.wasCancelled || Task.isCancelled
    }

    // Sendable: it is only opened on the loop's thread.
    @safe
    private struct WaiterReference: @unchecked Sendable {
        let waiter: Waiter
        init(_ waiter: Waiter) { self.waiter = waiter }
    }
}

/// A timer that a task waits for. Its loop has a reference to it while the timer runs.
// Sendable: all of it is used only on the loop's thread.
class Alarm: Waiter, @unchecked Sendable {
    private var timer: TimerID?
    private(set) final var hasFired = false

    /// Starts the timer, or starts it again.
    func set(_ core: Core, _ after: Duration) throws(SluiceError) {
        if let timer, core.loop.reset(timer, after: after) { return }
        let word = unsafe Unmanaged<Waiter>.retainedWord(self)
        do {
            // Counts from this moment, and not from the last wait.
            core.loop.updateNow()
            timer = try core.loop.addTimer(after: after, userWord: word)
            unsafe core.living += 1
        } catch {
            unsafe Unmanaged.passUnretained(self).release()
            throw error
        }
    }

    override func fire(_ core: Core, _ flags: UInt32) {
        hasFired = true
        release(core)
        wake(core)
    }

    func cancel(_ core: Core) {
        guard let timer else { return }
        core.loop.close(timer)
        release(core)
    }

    private func release(_ core: Core) {
        timer = nil
        unsafe core.living -= 1
        unsafe Unmanaged.passUnretained(self).release()
    }
}
