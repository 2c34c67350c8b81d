import ArgumentParser
import Glibc
import Sluice

struct Load: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keep a server busy for a while, and say how much it did and how fast.",
        discussion: """
            Each connection has --pipeline messages under way. When one is back, it sends the next. \
            The latency of a message is the time from its write until its last byte is back. A \
            percentile such as p99 is what 99 of 100 messages did not exceed.

            More connections or a deeper pipeline give more throughput, up to what the server can \
            do. Beyond that they only make messages wait, which the latency shows.

            Exits with 0 only if every message came back. Ctrl-C ends it early, with its report; a \
            second Ctrl-C does not wait for what is under way.
            """)

    @Option(name: .customLong("connect"), help: "The server: \(addressForms).")
    var address = "127.0.0.1:9999"

    @OptionGroup var common: CommonOptions

    @OptionGroup var way: AsyncOption

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How many connections, all at once.", valueName: "n"))
    var connections = 50

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How many bytes a message has.", valueName: "bytes"))
    var size = 64

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How many messages are under way on each connection.", valueName: "n"))
    var pipeline = 1

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("For how long messages are sent.", valueName: "seconds"))
    var duration = 2.0

    @Flag(help: "Compare every byte that comes back. If one differs, exit at once, not with 0.")
    var verify = false

    @Flag(help: "Report as JSON.")
    var json = false

    func validate() throws {
        func check(_ option: String, _ value: Int, _ most: Int) throws {
            guard (1...most).contains(value) else {
                throw ValidationError("--\(option) \(value): it must be 1 to \(most)")
            }
        }
        try check("connections", connections, 100_000)
        try check("size", size, 1 << 24)
        try check("pipeline", pipeline, 1024)
        guard duration > 0 && duration <= 3600 else {
            throw ValidationError("--duration \(duration): it must be over 0, to 3600 seconds")
        }
        // A message under way may be queued in full, and the moment it was sent is kept.
        let memory = connections * pipeline * (size + MemoryLayout<ContinuousClock.Instant>.size)
        guard memory <= 1 << 30 else {
            throw ValidationError(
                "--connections \(connections) --pipeline \(pipeline) --size \(size):"
                    + " that may take more than 1 GiB of memory; make one of them smaller")
        }
    }

    func run() throws {
        try requireStandardOutput()
        raiseDescriptorLimit()
        let settings = LoadSettings(
            address: Address(address), backend: try common.backend ?? Poller().backend,
            connections: connections, size: size, pipeline: pipeline,
            duration: .seconds(duration), verifies: verify)
        let progress = isatty(STDERR_FILENO) == 1 ? ProgressBar() : nil
        let report: LoadReport
        if way.isAsync {
            report = try waitFor { try await AsyncLoad(settings, progress).run() }
        } else {
            var loop = try EventLoop(settings.backend, options: settings.loopOptions)
            var generator = try LoadGenerator(settings, in: loop, progress: progress)
            report = try generator.run(&loop)
        }
        let output = Output(isNeeded: true)
        output.line(json ? try report.json : report.description)
        if output.hasFailed { throw ExitCode.failure }
        if report.unanswered > 0 {
            throw ClientFailure(
                "\(counted(report.unanswered, "message")) of \(report.sent) did not come back")
        }
    }
}

/// Raises the soft limit to the hard limit. The soft one is for programs whose select(2) stops at
/// 1,024. If the limit is still too low, a connect says so. Unsafe because getrlimit(2) takes a
/// pointer, and there is no safe way to do the same.
private func raiseDescriptorLimit() {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard unsafe getrlimit(resource, &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = unsafe setrlimit(resource, &limit)
}

/// The settings of a load.
struct LoadSettings {
    let address: Address
    let backend: Backend
    let connections: Int
    let size: Int
    let pipeline: Int
    let duration: Duration
    let verifies: Bool

    /// The loop goes on receiving even if all bytes under way are queued. Otherwise a client that
    /// does not read because of what it has to send, and a server that does the same, would wait
    /// for each other for ever.
    var loopOptions: EventLoop.Options {
        let underWay = max(size * pipeline, 1 << 20)
        return EventLoop.Options(highMark: underWay, hardLimit: underWay)
    }

    /// Whether a connection that was turned away may try again.
    func mayHaveRoom(after code: SluiceError.Code) -> Bool {
        code.errno == .resourceTemporarilyUnavailable || code == .full
    }

    /// Why there are no more connections than `count`.
    func failure(toConnect code: SluiceError.Code, after count: Int) -> ClientFailure {
        let remedy: String
        switch code.errno {
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem:
            remedy = "raise the limit of open files (ulimit -Hn), or take fewer connections"
        case .addressNotAvailable where count > 0:
            remedy = "no port is left to connect from; take fewer connections"
        default:
            return ClientFailure(cannotConnectTo: address, code)
        }
        return ClientFailure(
            "--connections \(connections): after \(count) there can be no more:"
                + " \(code.message) (\(code)); \(remedy)")
    }
}
