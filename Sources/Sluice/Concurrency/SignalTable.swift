// How a signal reaches a loop, whichever thread the signal comes to.
//
// A signal handler can do very little. This one sets a flag and wakes a loop, which takes a few
// atomic operations and a write(2). The pulled layer uses a signalfd. That needs the signal to be
// blocked in every thread, and the threads of the runtime's pool have started before anybody could
// block it.

private import Glibc
private import Synchronization

/// Tells a loop of signals.
final class SignalWatch: Sendable {
    private let core: Core
    /// The signals that it catches; `nil` once it has ended.
    private let caught: Mutex<[(number: CInt, before: sigaction)]?>

    /// Catches the signals. They are kept until ``begin(_:)``.
    init(_ numbers: [CInt], _ core: Core) throws(SluiceError) {
        self.core = core
        caught = Mutex([])
        for number in numbers {
            let code = SignalTable.take(number, core.loop.poster)
            guard code == 0 else {
                end()
                throw SluiceError(code, "catch signal", .text("\(number)"))
            }
            var action = sigaction()
            unsafe action.__sigaction_handler.sa_handler = SignalTable.note
            action.sa_flags = SA_RESTART
            var before = sigaction()
            guard unsafe sigaction(number, &action, &before) == 0 else {
                let code = -errno
                SignalTable.giveBack(number)
                end()
                throw SluiceError(code, "catch signal", .text("\(number)"))
            }
            caught.withLock { $0?.append((number, before)) }
        }
    }

    /// Calls `body` on the loop's thread with the number of each signal, also for those that came before.
    func begin(_ body: @escaping @Sendable (CInt) -> Void) {
        let core = core
        let numbers = caught.withLock { $0?.map(\.number) ?? [] }
        core.perform { [self] in
            // Another thread may have ended this watch meanwhile, and the loop's thread may have
            // taken the signals for another watch.
            if !hasEnded { core.addSignals(numbers, of: self, body) }
        }
    }

    private var hasEnded: Bool { caught.withLock { $0 == nil } }

    /// Gives the signals back to whoever had them.
    func end() {
        let ended = caught.withLock { caught in
            defer { caught = nil }
            return caught ?? []
        }
        for (number, before) in ended {
            var before = before
            unsafe sigaction(number, &before, nil)
            SignalTable.giveBack(number)
        }
        let core = core
        let numbers = ended.map(\.number)
        core.perform { [self] in core.removeSignals(numbers, of: self) }
    }
}

/// Which signals have come, and which loop to tell of each.
enum SignalTable {
    /// Signals are numbered from 1 to 64.
    private static let count: CInt = 65

    @safe
    private struct Entry: ~Copyable {
        let hasCome = Atomic<Bool>(false)
        let isTaken = Atomic<Bool>(false)
        /// A `Poster`. It is kept for ever, because a signal handler may be using it.
        let poster = unsafe Atomic<UnsafeRawPointer?>(nil)
    }

    private static let kept = Mutex<[EventLoop.Poster]>([])

    // Made before the first signal handler is installed, and never freed.
    nonisolated(unsafe) private static let entries: UnsafeMutablePointer<Entry> = {
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: Int(count))
        for number in 0..<Int(count) { unsafe (entries + number).initialize(to: Entry()) }
        return unsafe entries
    }()

    /// The signal handler.
    static let note: @convention(c) (CInt) -> Void = { number in
        let saved = errno
        let entry = unsafe entries + Int(number)
        unsafe entry.pointee.hasCome.store(true, ordering: .releasing)
        if let poster = unsafe entry.pointee.poster.load(ordering: .acquiring) {
            unsafe Unmanaged<EventLoop.Poster>.fromOpaque(poster)
                ._withUnsafeGuaranteedRef { $0.wake() }
        }
        errno = saved
    }

    /// Makes a signal wake a loop. Returns 0 or an error.
    static func take(_ number: CInt, _ poster: EventLoop.Poster) -> CInt {
        guard (1..<count).contains(number) else { return -EINVAL }
        let entry = unsafe entries + Int(number)
        guard unsafe !entry.pointee.isTaken.exchange(true, ordering: .acquiringAndReleasing) else {
            return -EEXIST
        }
        kept.withLock { if !$0.contains(where: { $0 === poster }) { $0.append(poster) } }
        unsafe entry.pointee.hasCome.store(false, ordering: .relaxed)
        unsafe entry.pointee.poster.store(
            UnsafeRawPointer(Unmanaged.passUnretained(poster).toOpaque()), ordering: .releasing)
        return 0
    }

    static func giveBack(_ number: CInt) {
        let entry = unsafe entries + Int(number)
        unsafe entry.pointee.poster.store(nil, ordering: .releasing)
        unsafe entry.pointee.isTaken.store(false, ordering: .releasing)
    }

    /// Whether the signal has come since the last call.
    static func takeNote(of number: CInt) -> Bool {
        unsafe (entries + Int(number)).pointee.hasCome.exchange(false, ordering: .acquiring)
    }
}
