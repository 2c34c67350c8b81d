import ArgumentParser
import Glibc
import Sluice

/// The text of the file VERSION. A test compares them.
private let version = "0.1.0"

@main
struct SluiceEcho: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sluice-echo",
        abstract: "An echo server, its client and a load: I/O multiplexing to watch and to try.",
        discussion: """
            One thread serves every connection, because it never waits for one of them: it asks the \
            kernel which of them are ready. The backend is the system call that it asks with.

              select  three sets of bits, one bit for each descriptor number. Every system has it. \
            Each wait looks at every number up to the highest.
              poll    an array of descriptors. Each wait looks at all of them.
              epoll   the kernel keeps the list, and tells which are ready. A wait costs only what \
            is ready.

            Try it, in two terminals:

              sluice-echo serve --trace
              sluice-echo client

            Then send a file. The client compares each byte that comes back:

              sluice-echo client < README.md

            See how much the server can do:

              sluice-echo load --connections 100 --verify
            """,
        version: version,
        subcommands: [Serve.self, Client.self, Load.self])

    static func main() {
        // If a reader of our output has gone, that is an error to report, and no reason to be
        // killed.
        signal(SIGPIPE, SIG_IGN)
        takeStandardDescriptors()
        main(nil)
    }
}

/// The signals that end a server or a load in order. A second one ends it at once.
let interrupts = [SIGINT, SIGTERM]

/// The options of every command.
struct CommonOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What to wait with: \(Backend.all.map(\.name).joined(separator: ", ")).",
            discussion: "Without it, what SLUICE_BACKEND in the environment says, or the best."),
        transform: backend(named:))
    var backend: Backend?

    @Sendable
    private static func backend(named name: String) throws -> Backend {
        guard let backend = Backend(name) else {
            let names = Backend.all.map(\.name).joined(separator: ", ")
            throw ValidationError("there is no backend '\(name)'; use one of \(names)")
        }
        return backend
    }
}

/// The textual forms of an address, for the help.
let addressForms = "127.0.0.1:9999, [::1]:9999, localhost:9999, unix:/path or unix:@name"
