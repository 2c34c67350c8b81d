import Metrics
import MetricsTestKit
import Sluice
import SluiceMetrics
import Testing

@Suite("Metrics of loops")
struct LoopMetricsTests {
    private let metrics = TestMetrics()

    private func meter(_ name: String, _ loop: Int = 0) throws -> TestMeter {
        try metrics.expectMeter("sluice_\(name)", [("loop", "\(loop)")])
    }

    private func total(_ name: String) -> Int64 {
        metrics.counterTotal(label: "sluice_\(name)")
    }

    /// Serves an echo with these options while `body` runs.
    private func serve(
        _ loops: Server.LoopCount, _ options: Server.Options,
        while body: (Address) async throws -> Void
    ) async throws {
        let (addresses, continuation) = AsyncStream.makeStream(of: Address.self)
        let server = Task {
            defer { continuation.finish() }
            try await Server.run(
                on: "127.0.0.1:0", loops: loops, options: options,
                ready: { continuation.yield($0) }
            ) { connection in
                for try await bytes in connection.inbound { try await connection.write(bytes) }
            }
        }
        for await address in addresses.prefix(1) { try await body(address) }
        server.cancel()
        try await server.value
    }

    @Test("connections and bytes are counted, also those of the last interval")
    func counted() async throws {
        var options = Server.Options()
        options.alongside = LoopMetrics(every: .seconds(3_600), factory: metrics).report
        try await serve(.one, options) { address in
            try await Client.connect(to: address.text) { connection in
                try await connection.write("hello\n")
                #expect(try await connection.readLine() == "hello")
            }
        }
        #expect(total("received_bytes") == 6)
        #expect(total("sent_bytes") == 6)
        #expect(total("turns") > 0)
        #expect(try meter("connections").lastValue == 0)
        #expect(try meter("queued_bytes").lastValue == 0)
        #expect(try #require(try meter("longest_turn_seconds").lastValue) > 0)
    }

    @Test("what is open is reported, on its loop's thread")
    func open() async throws {
        let metrics = LoopMetrics(every: .seconds(3_600), factory: metrics)
        let loop = try Loop.start()
        let (addresses, continuation) = AsyncStream.makeStream(of: Address.self)
        let server = Task {
            try await Server.run(on: "127.0.0.1:0", ready: { continuation.yield($0) }) { other in
                while try await other.next() != nil {}
            }
        }
        for await address in addresses.prefix(1) {
            try await Client.connect(to: address.text, on: loop) { connection in
                let report = Task(executorPreference: loop.executor) {
                    await metrics.report(loop)
                    #expect(loop.isCurrent)
                }
                report.cancel()
                await report.value
            }
        }
        server.cancel()
        try await server.value
        await loop.stop()
        #expect(try meter("connections").values.allSatisfy { $0 == 1 })
    }

    @Test("a timer reports again and again, of each loop")
    func again() async throws {
        var options = Server.Options()
        options.alongside = LoopMetrics(every: .milliseconds(1), factory: metrics).report
        try await serve(.count(2), options) { _ in
            while true {
                let first = try? meter("connections", 0)
                let second = try? meter("connections", 1)
                if let first, let second, min(first.values.count, second.values.count) > 3 {
                    return
                }
                try await Task.sleep(for: .milliseconds(1))
            }
        }
    }
}
