import ArgumentParser
import Sluice
import SystemPackage

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send everything back to whoever sent it, until Ctrl-C.",
        discussion: """
            With --trace each turn of the loop is shown: the descriptors that are waited for \
            (inputs to be read from, outputs to be written to), and those of them that are ready.

            Ctrl-C stops listening and reading, sends what is still to be sent, and says what was \
            served. A second Ctrl-C ends at once.
            """)

    @Option(name: .customLong("listen"), help: "Where: \(addressForms). Port 0: any free one.")
    var address = "127.0.0.1:9999"

    @OptionGroup var common: CommonOptions

    @Flag(help: "Show the lists of each turn.")
    var trace = false

    @Flag(help: "Print nothing but errors.")
    var quiet = false

    func validate() throws {
        if trace && quiet {
            throw ValidationError("--trace and --quiet exclude each other; give one of them")
        }
    }

    func run() throws {
        var server = try EchoServer(
            listeningOn: address, backend: common.backend,
            output: Output(quiet: quiet, trace: trace))
        try server.run()
    }
}

/// Standard output, a line at a time, at once also where it is a pipe.
struct Output {
    let quiet: Bool
    let trace: Bool

    func line(_ text: String) {
        guard !quiet else { return }
        // A reader of our output who has gone is no reason to stop serving.
        _ = try? FileDescriptor.standardOutput.writeAll("\(text)\n".utf8)
    }

    func warn(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll("sluice-echo: \(text)\n".utf8)
    }
}
