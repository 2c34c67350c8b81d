import AsyncAlgorithms
import Sluice
import Testing

// The bytes that a connection lends pass through algorithms of another package, wherever their
// closures run. Algorithms that keep elements get copies.

@Suite("Algorithms of others", .timeLimit(.minutes(1)))
struct AlgorithmsTests {
    static let ways = [Loop.Tasks.onLoop, .isolatedOnly]

    /// Has a server send each word by itself, and then end. It sends the next word when the last
    /// one was confirmed.
    func receiving(
        _ words: [String], _ tasks: Loop.Tasks,
        _ body: nonisolated(nonsending) @escaping @Sendable (Connection) async throws -> Void
    ) async throws {
        var options = Server.Options()
        options.tasks = tasks
        let (addresses, ready) = AsyncStream<String>.makeStream()
        let served = options
        let server = Task {
            try await Server.run(
                on: "127.0.0.1:0", options: served, ready: { ready.yield($0.text) }
            ) { connection in
                for word in words {
                    try await connection.write(word)
                    connection.flush()
                    _ = try await connection.read(exactly: 1)
                }
            }
        }
        for await address in addresses.prefix(1) {
            let loop = try Loop.start(tasks: tasks)
            try await Client.connect(to: address, on: loop) { try await body($0) }
            await loop.stop()
        }
        server.cancel()
        try await server.value
    }

    @Test("closures see what is lent", arguments: ways)
    func closures(_ tasks: Loop.Tasks) async throws {
        try await receiving(["one", "two", "two", "three"], tasks) { connection in
            let texts = connection.inbound
                .map { $0.description }
                .filter { $0 != "one" }
                .compactMap { $0 == "none" ? nil : $0 }
                .removeDuplicates()
            var got: [String] = []
            try await connection.write("1111")
            for try await text in texts { got.append(text) }
            #expect(got.joined() == "twothree" || got.joined().hasSuffix("three"))
        }
    }

    @Test("what is used before the next element is lent, and else copied", arguments: ways)
    func copies(_ tasks: Loop.Tasks) async throws {
        try await receiving(["a", "b", "c", "d"], tasks) { connection in
            var pairs: [String] = []
            // Each word is confirmed when it is there, so that no two words come together.
            let words = connection.inbound.copies.map { word in
                try await connection.write("1")
                return word
            }
            for try await (first, second) in words.adjacentPairs() {
                pairs.append(String(decoding: first + second, as: UTF8.self))
            }
            #expect(pairs == ["ab", "bc", "cd"])
        }
        try await receiving(["ab", "cd", "ef"], tasks) { connection in
            try await connection.write("111")
            var got: [[UInt8]] = []
            let bytes = connection.inbound.map { $0.array.async }.joined()
            for try await chunk in bytes.chunks(ofCount: 4) { got.append(Array(chunk)) }
            #expect(got == [Array("abcd".utf8), Array("ef".utf8)])
        }
    }

    @Test("algorithms that read in a task of their own get copies", arguments: ways)
    func tasks(_ tasks: Loop.Tasks) async throws {
        try await receiving(["one", "two"], tasks) { connection in
            try await connection.write("11")
            let ends = ["end"].async.map { Bytes(Array($0.utf8)) }
            var got: [String] = []
            for try await bytes in merge(connection.inbound, ends) { got.append(bytes.description) }
            #expect(got.joined().count == 9 && got.contains { $0.hasPrefix("one") })
        }
        try await receiving(["one", "two"], tasks) { connection in
            try await connection.write("11")
            var got = ""
            for try await bytes in connection.inbound.buffer(policy: .unbounded) {
                got += bytes.description
            }
            #expect(got == "onetwo")
        }
    }
}
