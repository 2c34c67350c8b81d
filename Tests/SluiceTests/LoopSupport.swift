import Glibc
import Sluice
import Synchronization
import SystemPackage
import Testing

struct TimedOut: Error {}

extension EventLoop {
    /// Pulls until `isDone` says so.
    mutating func pull(until isDone: (Event, borrowing EventLoop) throws -> Bool) throws {
        while try next(timeout: patience) {
            if try isDone(event, self) { return }
        }
        throw TimedOut()
    }

    /// Two streams of this loop that are each other's peers.
    mutating func connectedPair(
        _ listening: ListenerOptions = ListenerOptions(),
        _ connecting: StreamOptions = StreamOptions()
    ) throws -> (listener: ListenerID, near: StreamID, far: StreamID) {
        let listener = try listen(on: "127.0.0.1:0", options: listening)
        let near = try connect(to: try localAddress(of: listener), options: connecting)
        var far: StreamID?
        var isConnected = false
        try pull { event, _ in
            switch event {
            case .accepted(let stream, by: listener): far = stream
            case .connected(near): isConnected = true
            default: Issue.record("unexpected: \(event.description)")
            }
            return far != nil && isConnected
        }
        return (listener, near, try #require(far))
    }

    /// What a stream receives, until there is so much of it.
    mutating func receive(_ count: Int, from stream: StreamID) throws -> [UInt8] {
        var received: [UInt8] = []
        try pull { event, _ in
            if case .data(stream, let bytes) = event { received.append(contentsOf: bytes) }
            return received.count >= count
        }
        return received
    }

    /// Expects that there is nothing to pull.
    mutating func expectQuiet(_ place: SourceLocation = #_sourceLocation) throws {
        while try next(timeout: .zero) {
            let unexpected = event.description
            Issue.record("unexpected: \(unexpected)", sourceLocation: place)
        }
    }
}

/// Whether the bytes are those of `expected` from `offset` on. Quick also without optimization.
func matches(_ bytes: Span<UInt8>, _ expected: [UInt8], from offset: Int) -> Bool {
    unsafe bytes.withUnsafeBytes { bytes in
        unsafe expected.withUnsafeBytes { expected in
            guard offset + bytes.count <= expected.count else { return false }
            return unsafe memcmp(bytes.baseAddress!, expected.baseAddress! + offset, bytes.count)
                == 0
        }
    }
}

/// A thread that runs `body`. (Tests block their own, of which there may be too few for tasks.)
final class TestThread {
    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private let thread: pthread_t

    init(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let work = unsafe Unmanaged.passRetained(Work(body)).toOpaque()
        let failed = unsafe pthread_create(
            &thread, nil,
            { work in
                unsafe Unmanaged<Work>.fromOpaque(work!).takeRetainedValue().body()
                return nil
            }, work)
        precondition(failed == 0, "no thread: \(failed)")
        self.thread = thread
    }

    func join() {
        _ = pthread_join(thread, nil)
    }
}

/// Has a handler take signals in the thread that makes this, one after the other until `end`: one
/// that comes before a wait has begun does not end it.
final class StormOfSignals {
    private final class State: Sendable {
        let isOver = Atomic(false)
    }

    private let state = State()
    private let thread: TestThread
    private var mask = sigset_t()

    init() {
        // The handler stays, since storms of several suites may come at once. Threads that run tests
        // block all signals.
        signal(SIGUSR2) { _ in }
        var taken = sigset_t()
        unsafe sigaddset(&taken, SIGUSR2)
        unsafe pthread_sigmask(SIG_UNBLOCK, &taken, &mask)
        let target = pthread_self()
        thread = TestThread { [state] in
            while !state.isOver.load(ordering: .relaxed) {
                pthread_kill(target, SIGUSR2)
                usleep(200)
            }
        }
    }

    func end() {
        state.isOver.store(true, ordering: .relaxed)
        thread.join()
        unsafe pthread_sigmask(SIG_SETMASK, &mask, nil)
    }
}
