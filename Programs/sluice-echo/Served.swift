import Sluice

/// What one loop has served, or several loops together.
struct Served: Sendable {
    var connections = 0
    var bytes: UInt64 = 0
    var lostConnections = 0
    var lostBytes = 0

    static func + (left: Self, right: Self) -> Self {
        Self(
            connections: left.connections + right.connections,
            bytes: left.bytes + right.bytes,
            lostConnections: left.lostConnections + right.lostConnections,
            lostBytes: left.lostBytes + right.lostBytes)
    }
}

extension Served: CustomStringConvertible {
    var description: String {
        "served \(counted(connections, "connection")) and \(counted(bytes, "byte"));"
            + " \(counted(lostConnections, "connection")) lost"
            + " with \(counted(lostBytes, "byte")) not sent"
    }
}

/// What a loop has done since the last line, and what it holds now.
struct StatisticsLine {
    private var last: EventLoop.Statistics

    init(since start: EventLoop.Statistics) {
        last = start
    }

    mutating func next(_ now: EventLoop.Statistics) -> String {
        defer { last = now }
        func events(_ statistics: EventLoop.Statistics) -> UInt64 {
            Event.Kind.allCases.reduce(0) { $0 + statistics.events($1) }
        }
        let gap = (now.longestGap / .microseconds(1)).rounded() / 1000
        return [
            "stats: \(counted(now.handles(.stream), "connection"))",
            counted(now.bytesReceived - last.bytesReceived, "byte") + " received",
            counted(now.bytesSent - last.bytesSent, "byte") + " sent",
            counted(now.turns - last.turns, "turn"),
            counted(events(now) - events(last), "event"),
            counted(now.queueMemory, "byte") + " queued",
            "longest gap \(gap) ms",
        ].joined(separator: ", ")
    }
}
