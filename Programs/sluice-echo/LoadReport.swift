import FoundationEssentials
import Histogram
import Sluice

/// The result of a load.
struct LoadReport {
    private static let percentiles = [
        ("p50", 50.0), ("p90", 90), ("p99", 99), ("p99_9", 99.9), ("p99_99", 99.99),
    ]

    let settings: LoadSettings
    /// The time in which messages were sent.
    let time: Duration
    let sent: Int
    let returned: Int
    /// How many were back in that time.
    let returnedInTime: Int
    /// In nanoseconds, of all messages that came back.
    let latency: Histogram<UInt64>

    var unanswered: Int { sent - returned }

    private var seconds: Double { time / .seconds(1) }
    private var messagesPerSecond: Double { Double(returnedInTime) / seconds }
    private var bytesPerSecond: Double { messagesPerSecond * Double(settings.size) }

    private var percentiles: [(name: String, latency: UInt64)] {
        Self.percentiles.map { ($0, latency.valueAtPercentile($1)) }
            + [("max", latency.maxRecorded)]
    }

    /// How many messages took how long. Each range reaches to twice the nanoseconds of the one
    /// before. The first has the fastest message, and the last has the slowest.
    private var histogram: [Bucket] {
        var ranges: [Bucket] = []
        var from: UInt64 = 0
        var to: UInt64 = 1000
        // The bounds are also bounds of the histogram's own buckets, so that no message counts
        // twice.
        while from <= latency.maxRecorded {
            let count = latency.count(within: from...to - 1)
            if !ranges.isEmpty || count > 0 {
                ranges.append(Bucket(fromNs: from, belowNs: to, count: count))
            }
            from = to
            to *= 2
        }
        return ranges
    }

    fileprivate struct Bucket: Encodable {
        let fromNs: UInt64
        let belowNs: UInt64
        let count: UInt64
    }
}

// MARK: For people

extension LoadReport: CustomStringConvertible {
    var description: String {
        let compared = settings.verifies ? "; every byte compared" : ""
        let lines = [
            counted(settings.connections, "connection") + ", with "
                + counted(settings.pipeline, "message") + " of "
                + counted(settings.size, "byte") + " under way on each; "
                + "\(seconds.fixed(1)) s with \(settings.backend)\(compared)",
            "throughput  \(Int(messagesPerSecond).grouped) messages/s, "
                + "\((bytesPerSecond / 1e6).fixed(1)) MB/s each way",
        ]
        guard returned > 0 else { return lines.joined(separator: "\n") }
        let marks = percentiles.map { name, latency in
            "\(name.replacing("_", with: ".")) \(latency.asMicroseconds) µs"
        }
        return (lines + ["latency     " + marks.joined(separator: ", ")] + bars)
            .joined(separator: "\n")
    }

    private var bars: [String] {
        let widest = 40.0
        let ranges = histogram
        let labels = ranges.map {
            "\(($0.fromNs / 1000).grouped) to \(($0.belowNs / 1000).grouped) µs"
        }
        let width = labels.map(\.count).max() ?? 0
        let most = Double(ranges.map(\.count).max() ?? 1)
        return zip(labels, ranges).map { label, range in
            let count = Double(range.count)
            let share = (count / Double(returned) * 100).fixed(2)
            let bar = String(repeating: "#", count: Int((count / most * widest).rounded(.up)))
            return "  \(label.padded(to: width))  \(share.padded(to: 6)) %"
                + (bar.isEmpty ? "" : "  " + bar)
        }
    }
}

// MARK: For programs

extension LoadReport {
    /// A JSON object, on one line.
    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(fields), as: UTF8.self)
        }
    }

    private var fields: Fields {
        let times = [("min", latency.min), ("mean", UInt64(latency.mean))] + percentiles
        return Fields(
            address: "\(settings.address)",
            backend: "\(settings.backend)",
            connections: settings.connections,
            size: settings.size,
            pipeline: settings.pipeline,
            verified: settings.verifies,
            seconds: seconds,
            sent: sent,
            returned: returned,
            messagesPerSecond: messagesPerSecond,
            bytesPerSecond: bytesPerSecond,
            latencyNs: returned > 0 ? Dictionary(uniqueKeysWithValues: times) : [:],
            histogram: histogram)
    }

    private struct Fields: Encodable {
        let address: String
        let backend: String
        let connections: Int
        let size: Int
        let pipeline: Int
        let verified: Bool
        let seconds: Double
        let sent: Int
        let returned: Int
        let messagesPerSecond: Double
        let bytesPerSecond: Double
        let latencyNs: [String: UInt64]
        let histogram: [Bucket]
    }
}
