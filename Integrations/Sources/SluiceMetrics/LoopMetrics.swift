public import Metrics
public import Sluice
private import Synchronization

/// Reports to swift-metrics what loops do.
///
/// ```swift
/// var options = Server.Options()
/// options.alongside = LoopMetrics().report
/// try await Server.run(on: "localhost:9999", options: options) { connection in … }
/// ```
///
/// These are the metrics. Each has the dimension `loop`, a number that counts from 0:
///
/// | label | kind | what |
/// |---|---|---|
/// | `sluice_connections` | meter | open now |
/// | `sluice_queued_bytes` | meter | memory of what is queued to be sent |
/// | `sluice_longest_turn_seconds` | meter | the longest time that a loop was kept from waiting |
/// | `sluice_received_bytes` | counter | |
/// | `sluice_sent_bytes` | counter | |
/// | `sluice_turns` | counter | how often the loop has waited |
public final class LoopMetrics: Sendable {
    private let label: String
    private let dimensions: [(String, String)]
    private let interval: Duration
    private let factory: any MetricsFactory
    private let loops = Atomic<Int>(0)

    /// - Parameters:
    ///   - label: the start of each metric's label.
    ///   - dimensions: further dimensions of each metric.
    ///   - interval: how often to report.
    ///   - factory: where to report; `nil` for the system's factory.
    public init(
        label: String = "sluice", dimensions: [(String, String)] = [],
        every interval: Duration = .seconds(10), factory: (any MetricsFactory)? = nil
    ) {
        self.label = label
        self.dimensions = dimensions
        self.interval = interval
        self.factory = factory ?? MetricsSystem.factory
    }

    /// Reports on a loop by a timer of its own, until the task is cancelled. Then reports once
    /// more.
    @Sendable
    public nonisolated(nonsending) func report(_ loop: Loop) async {
        let meters = Meters(self, number: loops.wrappingAdd(1, ordering: .relaxed).oldValue)
        var last: EventLoop.Statistics?
        repeat {
            let now = await loop.statistics
            meters.record(now, since: last)
            last = now
        } while await hasSlept(loop)
        meters.record(await loop.statistics, since: last)
    }

    private nonisolated(nonsending) func hasSlept(_ loop: Loop) async -> Bool {
        do {
            try await loop.clock.sleep(for: interval)
            return true
        } catch {
            return false
        }
    }

    /// The metrics of one loop.
    private struct Meters {
        let connections, queued, longestTurn: Meter
        let received, sent, turns: Counter

        init(_ metrics: LoopMetrics, number: Int) {
            let dimensions = metrics.dimensions + [("loop", "\(number)")]
            func meter(_ name: String) -> Meter {
                Meter(
                    label: "\(metrics.label)_\(name)", dimensions: dimensions,
                    factory: metrics.factory)
            }
            func counter(_ name: String) -> Counter {
                Counter(
                    label: "\(metrics.label)_\(name)", dimensions: dimensions,
                    factory: metrics.factory)
            }
            connections = meter("connections")
            queued = meter("queued_bytes")
            longestTurn = meter("longest_turn_seconds")
            received = counter("received_bytes")
            sent = counter("sent_bytes")
            turns = counter("turns")
        }

        func record(_ now: EventLoop.Statistics, since last: EventLoop.Statistics?) {
            connections.set(Double(now.handles(.stream)))
            queued.set(Double(now.queueMemory))
            longestTurn.set(now.longestGap / .seconds(1))
            received.increment(by: now.bytesReceived - (last?.bytesReceived ?? 0))
            sent.increment(by: now.bytesSent - (last?.bytesSent ?? 0))
            turns.increment(by: now.turns - (last?.turns ?? 0))
        }
    }
}
