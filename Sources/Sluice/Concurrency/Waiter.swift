/// Whoever waits for something of a loop: the job of a task that has stopped, until something runs it.
///
/// A waiter has a job or has none, and it is taken out to be run. So a wait can end only once, and
/// what does not wait cannot be woken. All of it belongs to the loop's thread.
/// ``Connection`` is one. Nothing of it is for others.
@safe
public class Waiter {
    // The small ones come last, and a subclass begins with small ones: there are as many waiters as
    // connections.

    @exclusivity(unchecked) @usableFromInline final var job: UnownedJob?
    /// Of whose connection the task that waits is the home task: see ``Connection/homeTask``.
    @exclusivity(unchecked) @usableFromInline final var home: Unmanaged<Connection>?
    /// Which wait this is. A cancellation from another thread may come too late, and is then of
    /// another.
    @exclusivity(unchecked) final var number: UInt32 = 0
    @exclusivity(unchecked) final var wasCancelled = false
    /// Whether the code that waits is isolated to nobody, and not to the loop.
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
    /// Waits until `waiter` is woken. To be called on the loop's thread.
    ///
    /// Nothing runs on the thread between the assignment and the hop's end in ``ParkingExecutor``: the
    /// runtime enqueues within the hop. Tests/SluiceTests/AsyncRuntimeTests.swift notices a version of
    /// it that does not. Decided against: a continuation beside it, as a setting. It resumes where the
    /// task prefers to be, or on the global pool, and so neither the order nor the place of what
    /// follows a wait is what is promised.
    @inlinable
    @inline(__always)
    nonisolated(nonsending) func park(_ waiter: Waiter) async {
        unsafe parking = .passUnretained(waiter)
        unsafe waiter.isGeneric = isGenericNow
        unsafe waiter.home = homeNow
        await parker.wait()
    }

    /// The same, ended also by a cancellation of the task: whether it was.
    // By an isolated parameter: a closure in nonisolated(nonsending) code that is handed to
    // withTaskCancellationHandler is isolated to nobody, and would leave the loop (6.3). An actor's
    // method calls it with itself: optimised, code that is handed its isolation and copied to where
    // it is called forgets it (6.3), and then what is waited for may come before the wait.
    func parkCancellably(
        _ waiter: Waiter, isolation: isolated (any Actor)? = #isolation
    ) async -> Bool {
        let number = unsafe waiter.number
        unsafe waiter.wasCancelled = false
        let reference = WaiterReference(waiter)
        await withTaskCancellationHandler {
            _ = isolation
            require(isCurrent, "a wait begins on another thread than its Loop's")
            // Here, since others may have run on the way.
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

    // Sendable, because it is only opened on the loop's thread.
    @safe
    private struct WaiterReference: @unchecked Sendable {
        let waiter: Waiter
        init(_ waiter: Waiter) { self.waiter = waiter }
    }
}

/// A timer that somebody waits for. Its loop has a reference to it while the timer runs.
// Sendable: all of it is used on the loop's thread alone.
class Alarm: Waiter, @unchecked Sendable {
    private var timer: TimerID?
    private(set) final var hasFired = false

    /// Begins, or begins anew.
    func set(_ core: Core, _ after: Duration) throws(SluiceError) {
        if let timer, core.loop.reset(timer, after: after) { return }
        let word = unsafe Unmanaged<Waiter>.retainedWord(self)
        do {
            // From this moment, and not from the last wait.
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
