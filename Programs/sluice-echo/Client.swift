import ArgumentParser
import Glibc
import Sluice

struct Client: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send standard input to a server, print what comes back, and compare the two.",
        discussion: """
            On a terminal it prompts for lines with '>>:'. Otherwise it reads to the end of \
            standard input, and exits with 0 only if every byte came back.
            """)

    @Option(name: .customLong("connect"), help: "The server: \(addressForms).")
    var address = "127.0.0.1:9999"

    @OptionGroup var common: CommonOptions

    @OptionGroup var way: AsyncOption

    func run() throws {
        try requireStandardInput()
        try requireStandardOutput()
        let prompts = isatty(STDIN_FILENO) == 1
        if way.isAsync {
            return try waitFor { [address, common] in
                try await AsyncEchoClient(
                    connectingTo: Address(address), over: common.backend, prompts: prompts
                ).run()
            }
        }
        var loop = try EventLoop(common.backend)
        var client = try EchoClient(
            connectingTo: Address(address), in: loop, prompts: prompts)
        try client.run(&loop)
    }
}
