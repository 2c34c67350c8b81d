import ArgumentParser
import Glibc
import Sluice
import SystemPackage

/// How a loop has ended: what it has served, or why it could not go on.
typealias Report = Result<Served, any Error>

/// Serves with as many loops as the settings say, and reports: the first loop in this thread, each
/// other in one of its own. Interrupts come to the first, which passes them on.
func serve(_ settings: ServeSettings) throws {
    var loop = try EventLoop(settings.backend, options: settings.loopOptions)
    // Before anybody is told that we are there: who knows may send a signal. And before there are
    // other threads, which then have it blocked as this one does, and leave it to this loop.
    for number in interrupts { try loop.addSignal(number) }
    var settings = settings
    // By which a port that the kernel has chosen is every loop's.
    let (listener, address) = try settings.listen(loop)
    settings.address = address
    let output = settings.output
    if settings.loops > 1 { settings.output.prefix = "loop 1: " }

    let reports = Mailbox<Report>(of: loop)
    let helpers = try (1..<settings.loops).map { number in
        try startHelper(number + 1, settings, reportingTo: reports)
    }
    output.line(
        "listening on \(address) with \(settings.backend)"
            + (helpers.isEmpty ? "" : " in \(counted(settings.loops, "loop"))"))

    var server = try EchoServer(
        settings, listener, .first(helpers: helpers.map(\.poster), reports), in: loop)
    let served = try server.serve(&loop)
    // One that comes from now on has nothing left to end.
    for number in interrupts { signal(number, SIG_IGN) }
    for helper in helpers { try helper.join() }
    output.line("\(served)")
    // It has said why already.
    if output.hasFailed { throw ExitCode.failure }
}

/// A loop on a thread of its own, that listens when this returns.
private func startHelper(
    _ number: Int, _ settings: ServeSettings, reportingTo reports: Mailbox<Report>
) throws -> LoopThread {
    var settings = settings
    settings.output.prefix = "loop \(number): "
    let loop = try EventLoop(settings.backend, options: settings.loopOptions)
    let (listener, _) = try settings.listen(loop)
    return try LoopThread(loop) { [settings] loop in
        do {
            var server = try EchoServer(settings, listener, .helper, in: loop)
            reports.send(.success(try server.serve(&loop)))
        } catch {
            reports.send(.failure(error))
        }
    }
}
