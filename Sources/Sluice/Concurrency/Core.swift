// What a loop's thread has: the loop, the jobs that are to run, and the tasks that wait.
//
// All state belongs to the thread, and each call first asks whether it is on that thread. Other
// threads reach it through `remote` alone. They put jobs and calls there under a lock, and one
// wake-up serves all that are there.
//
// A thread ends when it was told to stop and has nothing left to do. A job that is enqueued later
// starts another thread, which takes over the loop. So no job is lost, however late it comes.

internal import CSluice
public import Glibc
public import Synchronization

@safe
@usableFromInline
final class Core: @unchecked Sendable {
    // Sendable: all but `remote`, `thread` and the constants belongs to one thread.

    @usableFromInline let loop: EventLoop
    @usableFromInline let handle: OpaquePointer
    private let event: UnsafeMutablePointer<sluice_event>
    /// The loop's thread; 0 while there is none.
    @usableFromInline let thread = Atomic<pthread_t>(0)

    @exclusivity(unchecked) private var isolated = JobRing()
    @exclusivity(unchecked) private var generic = JobRing()
    private let remote = Mutex(Remote())
    /// Held while bytes that were set aside are moved or freed, and while another thread copies
    /// lent bytes. Such a thread checks before and after the copy whether the bytes have gone.
    /// Bytes in the loop's buffer go without the lock. A copy of what the loop writes at that
    /// moment is never used.
    let moves = Mutex(())

    @usableFromInline let parker: Parking
    private let parkingExecutor: ParkingExecutor
    private var serialExecutor: LoopSerialExecutor!
    @exclusivity(unchecked) private(set) var serial: UnownedSerialExecutor!
    /// The executor that isolated jobs go on preferring; `nil` if they prefer none.
    @exclusivity(unchecked) private var task: UnownedTaskExecutor?

    // Unmanaged, not unowned(unsafe): reading an unowned one retains and releases it.

    /// The waiter of the hop that is under way.
    @exclusivity(unchecked) @usableFromInline var parking: Unmanaged<Waiter>?
    /// How the running job was run: true if it is isolated to nothing, false if to the loop.
    @exclusivity(unchecked) @usableFromInline var isGenericNow = false
    /// The connection whose home task is running now, if that is known.
    @exclusivity(unchecked) @usableFromInline var homeNow: Unmanaged<Connection>?
    /// How many connections, listeners, watches and timers have not ended.
    @exclusivity(unchecked) var living = 0
    @exclusivity(unchecked) private var isStopping = false
    /// Connections whose handlers are to start.
    @exclusivity(unchecked) var starting: [Connection] = []

    #if DEBUG
        let watchdog = Watchdog()
    #endif

    /// What to call when a signal has come, and for which watch. See SignalTable.swift.
    @exclusivity(unchecked) private var signals:
        [CInt: (watch: SignalWatch, body: @Sendable (CInt) -> Void)] = [:]

    /// The actor of this core. It is set once, before the thread starts.
    nonisolated(unsafe) weak var owner: Loop?

    /// What comes from other threads.
    private struct Remote {
        var messages: [Message] = []
        var isRunning = false
        /// The tasks that wait for the thread's end.
        var ends: [CheckedContinuation<Void, Never>] = []
    }

    private enum Message {
        case job(UnownedJob, isGeneric: Bool)
        case call(@Sendable () -> Void)
    }

    init(_ loop: consuming sending EventLoop) {
        unsafe handle = loop.handle
        self.loop = loop
        unsafe event = .allocate(capacity: 1)
        unsafe event.initialize(to: sluice_event())
        parkingExecutor = ParkingExecutor()
        parker = Parking(parkingExecutor)
        unsafe parkingExecutor.core = self
        serialExecutor = LoopSerialExecutor(self)
        unsafe serial = serialExecutor.asUnownedSerialExecutor()
    }

    deinit {
        unsafe event.deallocate()
    }

    /// Makes isolated jobs prefer the executor, which outlives them.
    func prefer(_ executor: LoopTaskExecutor) {
        unsafe task = executor.asUnownedTaskExecutor()
    }

    /// Whether the caller is on the loop's thread.
    // Out of line, because pthread_self is declared as a function that always returns the same
    // value. The optimizer would carry its answer from before a wait to after it, and the thread
    // may be another by then.
    @usableFromInline
    @inline(never)
    var isCurrent: Bool { thread.load(ordering: .relaxed) == pthread_self() }

    // MARK: Jobs and calls

    @inline(__always)
    func push(_ job: UnownedJob, isGeneric: Bool) {
        if isGeneric { unsafe generic.push(job) } else { unsafe isolated.push(job) }
    }

    @inline(__always)
    func enqueue(_ job: UnownedJob, isGeneric: Bool) {
        if isCurrent {
            push(job, isGeneric: isGeneric)
        } else {
            send(.job(job, isGeneric: isGeneric))
        }
    }

    /// Calls `body` on the loop's thread: now if the caller is on it, or else soon.
    func perform(_ body: @escaping @Sendable () -> Void) {
        if isCurrent { body() } else { send(.call(body)) }
    }

    @inline(never)
    private func send(_ message: Message) {
        let isAlone = remote.withLock { remote in
            remote.messages.append(message)
            defer { remote.isRunning = true }
            guard remote.isRunning else { return true }
            // A wake, not a post: it needs no memory, so it cannot fail.
            if remote.messages.count == 1 { loop.poster.wake() }
            return false
        }
        if isAlone { startAgain() }
    }

    /// Takes what came from other threads.
    private func takeRemote() {
        let messages = remote.withLock { remote in
            let messages = remote.messages
            remote.messages.removeAll(keepingCapacity: true)
            return messages
        }
        for message in messages {
            switch message {
            case .job(let job, let isGeneric): push(job, isGeneric: isGeneric)
            case .call(let body): body()
            }
        }
    }

    @inline(__always)
    func runNow(_ job: UnownedJob, isGeneric: Bool) {
        #if DEBUG
            watchdog.watch(job, of: self) { run(job, isGeneric: isGeneric) }
        #else
            run(job, isGeneric: isGeneric)
        #endif
    }

    @inline(__always)
    private func run(_ job: UnownedJob, isGeneric: Bool) {
        unsafe isGenericNow = isGeneric
        if let task = unsafe task {
            if isGeneric {
                unsafe job.runSynchronously(on: task)
            } else {
                unsafe job.runSynchronously(
                    isolatedTo: serial.unsafelyUnwrapped, taskExecutor: task)
            }
        } else {
            unsafe job.runSynchronously(on: serial.unsafelyUnwrapped)
        }
    }

    /// How many jobs run before the loop looks for events again. Jobs that enqueue others for ever
    /// would keep the loop from its events. A task that yields until something comes is an example.
    private static let jobsInARow = 256

    /// Runs the jobs that are to run, and those that they enqueue. Returns whether none is left.
    @inline(__always)
    @discardableResult
    func drain() -> Bool {
        var left = Self.jobsInARow
        while left > 0 {
            unsafe homeNow = nil
            if let job = unsafe isolated.pop() {
                runNow(job, isGeneric: false)
            } else if let job = unsafe generic.pop() {
                runNow(job, isGeneric: true)
            } else {
                return true
            }
            left -= 1
        }
        runGeneric()
        return false
    }

    /// Runs the generic jobs that are there. Isolated jobs may have kept them waiting.
    @inline(never)
    private func runGeneric() {
        for _ in 0..<(unsafe generic.count) {
            unsafe homeNow = nil
            // A job may have run the others meanwhile.
            guard let job = unsafe generic.pop() else { break }
            runNow(job, isGeneric: true)
        }
    }

    // MARK: The thread

    /// Says that a thread is about to run the loop. That thread takes what comes from now on.
    func willRun() {
        remote.withLock { $0.isRunning = true }
    }

    /// Starts a thread that runs the loop.
    func start() throws(SluiceError) {
        willRun()
        do {
            pthread_detach(try startThread { self.run() })
        } catch {
            remote.withLock { $0.isRunning = false }
            throw error
        }
    }

    private func startAgain() {
        do {
            pthread_detach(try startThread { self.run() })
        } catch {
            fatalError(
                "a job has come after its Loop was stopped, and there is no thread: \(error)")
        }
    }

    /// Makes the thread end when nothing is left to do on it.
    func stop() {
        // A thread that has ended was told so before. Or it could not be started at all.
        guard remote.withLock({ $0.isRunning }) else { return }
        perform { unsafe self.isStopping = true }
    }

    /// Waits for the thread's end.
    func waitForEnd() async {
        await withCheckedContinuation { continuation in
            let hasEnded = remote.withLock { remote in
                if remote.isRunning { remote.ends.append(continuation) }
                return !remote.isRunning
            }
            if hasEnded { continuation.resume() }
        }
    }

    /// Whether the thread ends here: it was told to, and nothing has come meanwhile.
    private func endsHere() -> Bool {
        guard unsafe living == 0 else { return false }
        let ends: [CheckedContinuation<Void, Never>]? = remote.withLock { remote in
            guard remote.messages.isEmpty else { return nil }
            remote.isRunning = false
            thread.store(0, ordering: .relaxed)
            defer { remote.ends = [] }
            return remote.ends
        }
        guard let ends else { return false }
        for end in ends { end.resume() }
        return true
    }

    /// Runs the loop in this thread until it is to end.
    func run() {
        thread.store(pthread_self(), ordering: .relaxed)
        Self.setCurrent(self)
        defer { Self.setCurrent(nil) }
        unsafe sluice_take_over(handle)
        takeRemote()
        while true {
            let isDone = drain()
            if unsafe isDone && isStopping && endsHere() { return }
            #if DEBUG
                watchdog.turnEnds()
            #endif
            let count = unsafe sluice_next(handle, event, isDone ? .max : 0)
            #if DEBUG
                watchdog.turnBegins()
            #endif
            if count > 0 {
                dispatch()
            } else {
                // After a wake, or after a look between jobs. Or memory has run out, and then the
                // next pull may bring the event.
                takeRemote()
                if unsafe !signals.isEmpty { takeSignals() }
            }
        }
    }

    /// The core whose thread the caller is on.
    static var current: Core? {
        unsafe pthread_getspecific(currentKey).map {
            unsafe Unmanaged<Core>.fromOpaque($0).takeUnretainedValue()
        }
    }

    private static func setCurrent(_ core: Core?) {
        // The thread has a reference while it runs the core.
        _ = unsafe pthread_setspecific(
            currentKey, core.map { unsafe Unmanaged.passUnretained($0).toOpaque() })
    }

    private static let currentKey: pthread_key_t = {
        var key = pthread_key_t()
        let code = unsafe pthread_key_create(&key, nil)
        require(code == 0, "no key is left for data of threads")
        return key
    }()

    // MARK: Signals

    func addSignals(
        _ numbers: [CInt], of watch: SignalWatch, _ body: @escaping @Sendable (CInt) -> Void
    ) {
        for number in numbers { unsafe signals[number] = (watch, body) }
        // A signal may have come before this.
        takeSignals()
    }

    /// Another watch may have taken these signals on this thread before the end of this watch
    /// arrived.
    func removeSignals(_ numbers: [CInt], of watch: SignalWatch) {
        for number in numbers where unsafe signals[number]?.watch === watch {
            unsafe signals[number] = nil
        }
    }

    private func takeSignals() {
        for (number, entry) in unsafe signals where SignalTable.takeNote(of: number) {
            entry.body(number)
        }
    }

    // MARK: Events

    @inline(__always)
    private func dispatch() {
        if unsafe event.pointee.kind == SLUICE_DATA.rawValue {
            unsafe Unmanaged<Connection>.fromOpaque(
                UnsafeRawPointer(bitPattern: UInt(event.pointee.user)).unsafelyUnwrapped
            )._withUnsafeGuaranteedRef {
                unsafe $0.received(event.pointee.data.unsafelyUnwrapped, event.pointee.length)
            }
        } else {
            other()
        }
    }

    @inline(never)
    private func other() {
        switch unsafe event.pointee.kind {
        case SLUICE_ACCEPTED.rawValue:
            unsafe word(Acceptor.self).accepted(StreamID(rawValue: event.pointee.id))
        case SLUICE_CONNECTED.rawValue: word(Connection.self).connected()
        case SLUICE_EOF.rawValue: word(Connection.self).ended()
        case SLUICE_DRAINED.rawValue: word(Connection.self).drained()
        case SLUICE_CLOSED.rawValue:
            unsafe word(Connection.self).closed(
                event.pointee.error,
                inputEnded: event.pointee.value == UInt64(SLUICE_INPUT_ENDED))
        case SLUICE_TIMER.rawValue: word(Waiter.self).fire(self, 0)
        case SLUICE_READY.rawValue:
            unsafe word(Waiter.self).fire(self, UInt32(truncatingIfNeeded: event.pointee.value))
        case SLUICE_POSTED.rawValue: takeRemote()
        case SLUICE_OVERLOADED.rawValue:
            unsafe word(Acceptor.self).isOverloaded(event.pointee.error)
        default: break
        }
    }

    /// The object that the event's user word names.
    private func word<Object: AnyObject>(_: Object.Type = Object.self) -> Object {
        unsafe Unmanaged<Object>.fromOpaque(
            UnsafeRawPointer(bitPattern: UInt(event.pointee.user)).unsafelyUnwrapped
        ).takeUnretainedValue()
    }
}

extension Unmanaged {
    /// The object as a user word, with a reference. Whoever has the word gives the reference back.
    static func retainedWord(_ object: Instance) -> UInt64 {
        unsafe UInt64(UInt(bitPattern: Unmanaged.passRetained(object).toOpaque()))
    }
}
