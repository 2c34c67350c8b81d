import ArgumentParser
import Glibc
import Sluice
import SystemPackage

/// How a loop has ended: what it has served, or why it could not go on.
typealias Report = Result<Served, any Error>

/// Serves with as many loops as the settings say, and reports. The first loop is in this thread,
/// and each other loop has a thread of its own. Interrupts come to the first, which passes them on.
func serve(_ settings: ServeSettings) throws {
    var loop = try EventLoop(settings.backend, options: settings.loopOptions)
    // This comes before anybody is told that we are there, since whoever knows may send a signal.
    // And it comes before there are other threads. They have the signals blocked as this thread
    // does, and leave them to this loop.
    for number in interrupts { try loop.addSignal(number) }
    var settings = settings
    // From this address every loop has the port that the kernel has chosen.
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

    // The screen has no place for lines.
    if settings.isWatched { settings.output = Output(isQuiet: true) }
    var server = try EchoServer(
        settings, listener, .first(helpers: helpers.map(\.poster), reports), in: loop)
    let served =
        settings.isShown ? try show(server, settings, &loop) : try server.serve(&loop)
    // A signal that comes from now on has nothing left to end.
    for number in interrupts { signal(number, SIG_IGN) }
    for helper in helpers { try helper.join() }
    output.line("\(served)")
    // The output has said why already.
    if output.hasFailed { throw ExitCode.failure }
}

/// Serves, and shows the loop meanwhile.
private func show(
    _ server: EchoServer, _ settings: ServeSettings, _ loop: inout EventLoop
) throws -> Served {
    let inspector = try settings.inspected.map {
        try Inspector($0, isOpen: settings.isInspectedOpenly, in: loop)
    }
    if let inspector { settings.output.line("inspect it at http://\(inspector.address)/") }
    let screen = try settings.isWatched ? takeOverTerminal() : nil
    defer { screen?.end() }
    var shown = try ShownServer(server, settings, screen, inspector, in: loop)
    try loop.run(&shown)
    return try shown.result(in: loop)
}

private func takeOverTerminal() throws -> Screen {
    guard let terminal = Terminal() else {
        throw ValidationError("--watch draws on a terminal, and there is none; use --stats")
    }
    return try Screen(terminal)
}

/// Starts a loop on a thread of its own. It listens when this returns.
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
