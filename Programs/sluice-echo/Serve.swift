import ArgumentParser
import Sluice

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send everything back to whoever sent it, until Ctrl-C.",
        discussion: """
            --trace shows each event as it is pulled from the loop, with its turn. A turn is one \
            wait, and brings whatever was ready.

            Ctrl-C stops listening and reading, sends what is still to be sent, and says what was \
            served. A second Ctrl-C ends at once.

            If standard output cannot be written to any more, --trace and --stats end it as Ctrl-C \
            does. Without them it goes on, and says so. In both cases the exit code is not 0.

            Without --listen it serves the socket that systemd hands over (LISTEN_FDS, socket \
            activation) or, if there is none, 127.0.0.1:9999.
            """)

    @Option(
        name: .customLong("listen"),
        help: "Where: \(addressForms); or *:9999. Port 0: any free one.")
    var address: String?

    @OptionGroup var common: CommonOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How many clients a loop serves at once.",
            discussion: "Others wait in the kernel's queue until one leaves.", valueName: "n"))
    var maxConnections: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "A client that sends and takes nothing for so long is closed.", valueName: "seconds"))
    var idleTimeout: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How many bytes may wait for one client.",
            discussion: """
                From half of that on, it is not read from until it has taken some (backpressure).
                """,
            valueName: "bytes"))
    var maxQueue: Int?

    @Flag(help: "Let other loops and other servers listen at the same address: SO_REUSEPORT.")
    var reusePort = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How many loops, each in a thread of its own.",
            discussion: "The kernel spreads the clients over them. With --reuse-port.",
            valueName: "n"))
    var loops = 1

    @OptionGroup var way: AsyncOption

    @Flag(help: "Show each event.")
    var trace = false

    @Flag(help: "Show each second what each loop has done in it.")
    var stats = false

    @Flag(help: "Show on the terminal what the loop does, live. Keys slow it down.")
    var watch = false

    @Option(
        help: ArgumentHelp(
            "Show it on a page, for a browser.",
            discussion: "At an address of this machine only, such as 127.0.0.1:8080.",
            valueName: "address"))
    var inspect: String?

    @Flag(help: "Let --inspect have an address that others can reach.")
    var inspectOpenly = false

    @Flag(help: "Print nothing but errors.")
    var quiet = false

    func validate() throws {
        let printing = [("--trace", trace), ("--stats", stats)]
        let showing = [("--watch", watch), ("--inspect", inspect != nil)]
        for (name, given) in printing + [("--watch", watch)] where given && quiet {
            throw ValidationError("\(name) and --quiet exclude each other; give one of them")
        }
        for (name, given) in printing where given && watch {
            throw ValidationError("\(name) and --watch exclude each other; give one of them")
        }
        for (name, given) in printing + showing where given && way.isAsync {
            throw ValidationError("\(name) shows a pulled loop; leave it out, or --async")
        }
        for (name, given) in showing where given && loops > 1 {
            throw ValidationError("\(name) shows one loop; leave it out, or --loops \(loops)")
        }
        if inspectOpenly && inspect == nil {
            throw ValidationError("--inspect-openly says how --inspect listens; add --inspect")
        }
        if let maxConnections, !(1...Int(UInt32.max)).contains(maxConnections) {
            throw ValidationError("--max-connections \(maxConnections): it must be 1 or more")
        }
        if let idleTimeout, !(idleTimeout > 0 && idleTimeout <= 1e9) {
            throw ValidationError(
                "--idle-timeout \(idleTimeout): it must be over 0, to 1000000000 seconds")
        }
        if let maxQueue, maxQueue < ServeSettings.leastQueue {
            throw ValidationError(
                "--max-queue \(maxQueue): it must be \(ServeSettings.leastQueue) bytes or more")
        }
        if !(1...256).contains(loops) {
            throw ValidationError("--loops \(loops): it must be 1 to 256")
        }
        if loops > 1 && (!reusePort || address?.hasPrefix("unix:") == true) {
            throw ValidationError(
                "--loops \(loops) needs --reuse-port, and an address that has a port")
        }
    }

    func run() throws {
        let inherited = address == nil ? try inheritedListener() : nil
        if inherited != nil && loops > 1 {
            throw ValidationError(
                "--loops \(loops) needs --listen: one loop has the socket of LISTEN_FDS")
        }
        let settings = try ServeSettings(
            address: Address(address ?? "127.0.0.1:9999"),
            inherited: inherited,
            // Chosen once, so that it can be reported and is the same in every loop.
            backend: common.backend ?? Poller().backend,
            maxConnections: maxConnections,
            idleTimeout: idleTimeout.map { .seconds($0) },
            maxQueue: maxQueue,
            reusesPort: reusePort,
            loops: loops,
            traces: trace,
            showsStatistics: stats,
            isWatched: watch,
            inspected: inspect,
            isInspectedOpenly: inspectOpenly,
            output: Output(isQuiet: quiet, isNeeded: trace || stats))
        if way.isAsync {
            try waitFor { try await serveAsync(settings) }
        } else {
            try serve(settings)
        }
    }
}
