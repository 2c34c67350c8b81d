import Dispatch
import Glibc
import Sluice
import Synchronization
import SystemPackage

/// Serves with as many loops as the settings say, and reports: the first loop in this thread, each
/// other in one of its own. Interrupts come to the first, which passes them on.
func serve(_ settings: ServeSettings) throws {
    blockInterrupts()
    var loop = try settings.openLoop()
    // Before anybody is told that we are there: who knows may send a signal.
    for number in interrupts { try loop.addSignal(number) }
    var settings = settings
    // By which a port that the kernel has chosen is every loop's.
    let (listener, address) = try settings.listen(loop)
    settings.address = address
    let output = settings.output
    if settings.loops > 1 { settings.output.prefix = "loop 1: " }

    let helpers = try (1..<settings.loops).map { number in
        var settings = settings
        settings.output.prefix = "loop \(number + 1): "
        return try HelperLoop(settings, reportingTo: loop.poster)
    }
    let posters = try helpers.compactMap { try $0.waitUntilItServes() }
    output.line(
        "listening on \(address) with \(settings.backend)"
            + (helpers.isEmpty ? "" : " in \(counted(settings.loops, "loop"))"))

    var server = try EchoServer(settings, listener, in: loop, helpers: posters)
    let served = try server.serve(&loop)
    output.line("\(try helpers.map { try $0.waitForEnd() }.reduce(served, +))")
}

/// In this thread and those that it starts, so that an interrupt waits for the loop that takes it.
private func blockInterrupts() {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for number in interrupts { unsafe sigaddset(&set, number) }
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
}

/// A loop in a thread of its own.
private final class HelperLoop: Sendable {
    private struct State {
        var poster: EventLoop.Poster?
        var served = Served()
        var failure: (any Error)?
    }

    private let settings: ServeSettings
    private let reports: EventLoop.Poster
    private let state = Mutex(State())
    private let hasStarted = DispatchSemaphore(value: 0)
    private let hasEnded = DispatchSemaphore(value: 0)

    init(_ settings: ServeSettings, reportingTo reports: EventLoop.Poster) throws {
        self.settings = settings
        self.reports = reports
        try startThread { self.run() }
    }

    private func run() {
        do {
            var loop = try settings.openLoop()
            let (listener, _) = try settings.listen(loop)
            var server = try EchoServer(settings, listener, in: loop)
            state.withLock { $0.poster = loop.poster }
            hasStarted.signal()
            let served = try server.serve(&loop)
            state.withLock { $0.served = served }
        } catch {
            state.withLock { $0.failure = error }
            hasStarted.signal()
        }
        hasEnded.signal()
        // Fails where the first loop is gone, which then waits for nobody.
        try? reports.post(0)
    }

    /// Where to post interrupts to. Throws why it could not start.
    func waitUntilItServes() throws -> EventLoop.Poster? {
        hasStarted.wait()
        return try state.withLock { state in
            if let failure = state.failure { throw failure }
            return state.poster
        }
    }

    /// What it has served. Throws why it could not go on.
    func waitForEnd() throws -> Served {
        hasEnded.wait()
        return try state.withLock { state in
            if let failure = state.failure { throw failure }
            return state.served
        }
    }
}

private func startThread(_ body: @escaping @Sendable () -> Void) throws {
    final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var thread = pthread_t()
    let body = unsafe Unmanaged.passRetained(Body(body))
    let code = unsafe pthread_create(
        &thread, nil,
        { body in
            unsafe Unmanaged<Body>.fromOpaque(body!).takeRetainedValue().run()
            return nil
        }, body.toOpaque())
    guard code == 0 else {
        unsafe body.release()
        throw Errno(rawValue: code)
    }
    // Its end is told by what it runs.
    pthread_detach(thread)
}
