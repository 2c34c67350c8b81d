import Glibc
import InMemoryLogging
import Logging
import Sluice
import Testing

/// What a server says to its logger.
@Suite("The log of a server", .serialized)
struct ServerLogTests {
    private let memory = InMemoryLogHandler()

    private func logger(_ level: Logger.Level) -> Logger {
        var logger = Logger(label: "server", factory: { _ in memory })
        logger.logLevel = level
        return logger
    }

    /// Serves while `body` runs, then shuts down.
    private func serve(
        _ change: (inout Server.Options) -> Void,
        _ handler: nonisolated(nonsending) @escaping @Sendable (Connection) async throws -> Void,
        while body: (String) async throws -> Void
    ) async throws {
        var options = Server.Options()
        change(&options)
        let (addresses, continuation) = AsyncStream.makeStream(of: Address.self)
        let server = Task { [options] in
            defer { continuation.finish() }
            try await Server.run(
                on: "127.0.0.1:0", options: options, ready: { continuation.yield($0) }, handler)
        }
        for await address in addresses.prefix(1) { try await body(address.text) }
        server.cancel()
        try await server.value
    }

    /// A line there and back. Returns this end's address.
    private func exchange(_ address: String) async throws -> String {
        try await Client.connect(to: address) { connection in
            try await connection.write("hello\n")
            _ = try await connection.readLine()
            return connection.localAddress?.text ?? ""
        }
    }

    /// What was said, but for turns that took long: on a machine that is busy with others, any may.
    private var entries: [InMemoryLogHandler.Entry] {
        memory.entries.filter { text($0, "turn") == nil }
    }

    private func text(_ entry: InMemoryLogHandler.Entry, _ key: String) -> String? {
        entry.metadata[key].map { "\($0)" }
    }

    private static let echo: Server.Handler = { connection in
        for try await bytes in connection.inbound { try await connection.write(bytes) }
    }

    @Test("its start and end are info, and a connection is debug, with its peer")
    func ordinary() async throws {
        var peer = ""
        try await serve {
            $0.logger = logger(.trace)
        } _: {
            try await Self.echo($0)
        } while: {
            peer = try await exchange($0)
        }
        // The connection may end before or after the server is told to.
        let ofServer = entries.filter { $0.level == .info }
        #expect(ofServer.map(\.message) == ["listening", "shutting down", "shut down"])
        let ofConnection = entries.filter { $0.level == .debug }
        #expect(ofConnection.map(\.message) == ["accepted", "ended"])
        #expect(ofConnection.map { text($0, "peer") } == [peer, peer])
    }

    @Test("what a handler throws is an error, with the peer")
    func thrown() async throws {
        struct OutOfPaper: Error {}
        var peer = ""
        try await serve {
            $0.logger = logger(.warning)
        } _: { connection in
            try await connection.write(try await connection.next() ?? Bytes([]))
            _ = try await connection.next()
            throw OutOfPaper()
        } while: {
            peer = try await exchange($0)
        }
        let entry = try #require(entries.first)
        #expect(entries.count == 1)
        #expect(entry.level == .error)
        #expect(entry.message == "a handler has thrown")
        #expect(text(entry, "peer") == peer)
        #expect(text(entry, "error") == "OutOfPaper()")
    }

    @Test("what a peer brings about fills no log")
    func peersFault() async throws {
        try await serve {
            $0.logger = logger(.info)
        } _: {
            _ = try await $0.readLine(limit: 3)
        } while: { address in
            // It sees a reset, and the log says nothing of it.
            await expectThrow(SluiceError.self) { try await exchange(address) }
        }
        #expect(entries.allSatisfy { $0.level == .info })
    }

    @Test("callers without room are a warning")
    func overloaded() async throws {
        try await serve {
            $0.logger = logger(.warning)
            $0.listener.connectionLimit = 1
        } _: {
            try await Self.echo($0)
        } while: { address in
            try await Client.connect(to: address) { first in
                try await first.write("first\n")
                _ = try await first.readLine()
                // It is connected by the kernel, and not let in.
                try await Client.connect(to: address) { second in
                    let isTold = await eventually { !entries.isEmpty }
                    #expect(isTold)
                    second.abort()
                }
            }
        }
        #expect(entries.allSatisfy { $0.level == .warning })
        #expect(entries.first?.message.description.contains("no room") == true)
    }

    #if DEBUG
        @Test(
            "a turn of over 100 ms is told of, with the peer and the handler",
            arguments: [false, true])
        func blocked(afterSleep: Bool) async throws {
            var peer = ""
            try await serve {
                $0.logger = logger(.warning)
            } _: { connection in
                for try await bytes in connection.inbound {
                    let kept = bytes.array
                    if afterSleep { try await connection.loop.clock.sleep(for: .milliseconds(1)) }
                    usleep(150_000)
                    try await connection.write(kept)
                }
            } while: {
                peer = try await exchange($0)
            }
            // On a busy machine, other turns may take as long.
            let entry = try #require(
                memory.entries.first { text($0, "peer") == peer && seconds($0, "longest") >= 0.15 })
            #expect(entries.isEmpty)
            #expect(entry.level == .warning)
            #expect(text(entry, "handler")?.hasPrefix("SluiceTests/ServerLogTests.swift:") == true)
            #expect(seconds(entry, "turn") >= seconds(entry, "longest"))
        }

        /// The number in "0.15 seconds".
        private func seconds(_ entry: InMemoryLogHandler.Entry, _ key: String) -> Double {
            text(entry, key).flatMap { Double($0.prefix { $0 != " " }) } ?? 0
        }
    #endif
}
