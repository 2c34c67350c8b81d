import Glibc
import Sluice

/// What a loop does, counted event by event, for the screen and the page that show it.
struct Monitor {
    /// A connection. It stays here until it has been shown for a while after its end.
    final class Connection {
        let stream: StreamID
        let descriptor: CInt
        let peer: String
        let since: Duration
        var received: UInt64 = 0
        var hasSentAll = false
        var ended: Duration?
        /// Where it is in `live`.
        var index = 0
        /// How many bytes it was owed at the last picture.
        var queued = 0
        /// Which kinds of events it had before the picture with that number, one bit for each kind.
        private var news: UInt16 = 0
        private var picture = 0

        init(_ stream: StreamID, in loop: borrowing EventLoop) {
            self.stream = stream
            descriptor = loop.descriptor(of: stream)?.rawValue ?? -1
            peer = loop.peerAddress(of: stream)?.description ?? "?"
            since = loop.now
        }

        func note(_ kind: Event.Kind, before picture: Int) {
            if self.picture != picture { news = 0 }
            self.picture = picture
            news |= 1 << kind.rawValue
        }

        func had(_ kind: Event.Kind, before picture: Int) -> Bool {
            self.picture == picture && news & (1 << kind.rawValue) != 0
        }

        func precedes(_ other: Connection, by order: Picture.Order) -> Bool {
            switch order {
            case .received: received > other.received
            case .queued: (queued, received) > (other.queued, other.received)
            case .age: since < other.since
            }
        }
    }

    /// How long a connection is shown after its end.
    static let shownAfterEnd = Duration.seconds(3)
    /// How many of the last events are shown.
    static let lastsShown = 12

    /// An event. It is put into words only when a picture is made: most are gone by then.
    private struct Last {
        let turn: UInt64
        let kind: Event.Kind
        let stream: StreamID?
        let bytes: Int

        var words: String {
            "turn \(turn): \(Picture.name(of: kind))" + (stream.map { " of \($0)" } ?? "")
                + (kind == .data ? ": \(counted(bytes, "byte"))" : "")
        }
    }

    private let settings: ServeSettings
    private let start: Duration
    private let highMark: Int
    private let connections: PerStream<Connection>
    private var live: [Connection] = []
    private var gone: [Connection] = []
    private var mostLive = 0
    /// The last events. The oldest is not the first: see `oldest`.
    private var lasts: [Last] = []
    private var oldest = 0
    /// How many pictures there were.
    private var pictures = 0
    private var counts = [UInt64](repeating: 0, count: Event.Kind.allCases.count)
    /// How many turns took less than 1 µs, then less than 2 µs, 4 µs and so on.
    private var turnTimes = [UInt64](repeating: 0, count: 21)
    /// How many turns brought an event, and when the last of them began. That shows when the next
    /// one begins.
    private var turn: UInt64 = 0
    private var turnBegan: Duration
    /// When the first event of the turn was there, and when its last one was handled. 0 if the turn
    /// is not timed.
    private var turnStart: Int64 = 0
    private var turnEnd: Int64 = 0
    /// How many turns are timed for each picture. To read the clock takes longer than everything
    /// else here.
    private static let timedTurns = 100
    private var timed = 0

    /// What had been counted at the last pictures, up to a second ago.
    private var history: [Counted] = []

    private struct Counted {
        let time: Duration
        let statistics: EventLoop.Statistics
        let counts: [UInt64]
    }

    init(_ settings: ServeSettings, in loop: borrowing EventLoop) {
        self.settings = settings
        highMark = settings.loopOptions.highMark
        connections = PerStream(in: loop)
        start = loop.now
        turnBegan = start
        history = [Counted(time: start, statistics: loop.statistics, counts: counts)]
    }

    // MARK: Counting

    /// Notes an event, before it is handled.
    mutating func note(_ event: borrowing Event, in loop: borrowing EventLoop) {
        if loop.now != turnBegan { beginTurn(loop.now) }
        switch event {
        case .accepted(let stream, _):
            remember(.accepted, stream)
            let connection = Connection(stream, in: loop)
            connection.index = live.count
            connection.note(.accepted, before: pictures)
            live.append(connection)
            connections[stream] = connection
            mostLive = max(mostLive, live.count)
        case .data(let stream, let bytes):
            remember(.data, stream, bytes.count)
            guard let connection = connections[stream] else { break }
            connection.received += UInt64(bytes.count)
            connection.note(.data, before: pictures)
        case .endOfStream(let stream):
            remember(.endOfStream, stream)
            connections[stream]?.hasSentAll = true
            connections[stream]?.note(.endOfStream, before: pictures)
        case .drained(let stream):
            remember(.drained, stream)
            connections[stream]?.note(.drained, before: pictures)
        case .closed(let stream, _):
            remember(.closed, stream)
            guard let connection = connections[stream] else { break }
            connection.ended = loop.now
            connection.queued = 0
            connection.note(.closed, before: pictures)
            // The last connection takes its place.
            live[live.count - 1].index = connection.index
            live.swapAt(connection.index, live.count - 1)
            live.removeLast()
            gone.append(connection)
            if gone.count > Picture.mostRows { gone.removeFirst() }
        case .overloaded: remember(.overloaded)
        default: break
        }
    }

    private mutating func remember(
        _ kind: Event.Kind, _ stream: StreamID? = nil, _ bytes: Int = 0
    ) {
        let last = Last(turn: turn, kind: kind, stream: stream, bytes: bytes)
        counts[Int(kind.rawValue)] += 1
        if lasts.count < Self.lastsShown {
            lasts.append(last)
        } else {
            lasts[oldest] = last
            oldest = (oldest + 1) % lasts.count
        }
    }

    /// Notes that the event has been handled.
    @inline(__always)
    mutating func noteHandled() {
        if turnStart != 0 { turnEnd = Self.clock }
    }

    private mutating func beginTurn(_ now: Duration) {
        if turnStart != 0 {
            let microseconds = max(0, turnEnd - turnStart) / 1_000
            let place = Int64.bitWidth - microseconds.leadingZeroBitCount
            turnTimes[min(place, turnTimes.count - 1)] += 1
        }
        turn += 1
        turnBegan = now
        turnStart = timed < Self.timedTurns ? Self.clock : 0
        timed += 1
    }

    /// CLOCK_MONOTONIC in nanoseconds.
    private static var clock: Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    // MARK: Pictures

    /// What there is to show now. What is news in one picture is not news in the next.
    mutating func picture(by order: Picture.Order, in loop: borrowing EventLoop) -> Picture {
        let now = Counted(
            time: .nanoseconds(Self.clock), statistics: loop.statistics, counts: counts)
        let before = history[0]
        history.append(now)
        while history.count > 1 && now.time - history[1].time >= .seconds(1) {
            history.removeFirst()
        }
        gone.removeAll { now.time - ($0.ended ?? now.time) > Self.shownAfterEnd }

        var picture = Picture(
            address: settings.address.description, backend: settings.backend.name,
            age: (now.time - start) / .seconds(1))
        let seconds = max((now.time - before.time) / .seconds(1), 0.001)
        func rate(_ count: UInt64, _ earlier: UInt64) -> Int {
            Int((Double(count - earlier) / seconds).rounded())
        }
        for kind in Picture.kinds {
            let place = Int(kind.rawValue)
            picture.events[Picture.name(of: kind)] = rate(counts[place], before.counts[place])
        }
        let (last, earlier) = (now.statistics, before.statistics)
        picture.turns = rate(last.turns, earlier.turns)
        picture.received = rate(last.bytesReceived, earlier.bytesReceived)
        picture.sent = rate(last.bytesSent, earlier.bytesSent)
        picture.calls = rate(last.systemCalls, earlier.systemCalls)
        picture.queued = Int(last.queueMemory)
        picture.longestGap = last.longestGap / .milliseconds(1)
        picture.turnTimes = turnTimes.map(Int.init)
        picture.most = mostLive
        picture.words = (lasts[oldest...] + lasts[..<oldest]).map(\.words)
        for connection in live {
            connection.queued = loop.pendingBytes(of: connection.stream)
            picture.states[state(of: connection), default: 0] += 1
        }
        picture.rows = first(by: order).map { row(of: $0, now.time) }
        picture.hidden = live.count + gone.count - picture.rows.count
        pictures += 1
        timed = 0
        return picture
    }

    /// The first of the connections, without sorting all of a large number.
    private func first(by order: Picture.Order) -> [Connection] {
        var first: [Connection] = []
        for connection in live + gone {
            if first.count == Picture.mostRows {
                guard connection.precedes(first[first.count - 1], by: order) else { continue }
                first.removeLast()
            }
            let before = first.lastIndex { !connection.precedes($0, by: order) }
            first.insert(connection, at: before.map { $0 + 1 } ?? 0)
        }
        return first
    }

    private func state(of connection: Connection) -> Picture.State {
        if connection.ended != nil { return .gone }
        if connection.queued >= highMark { return .held }
        if connection.queued > 0 { return .writing }
        return connection.hasSentAll ? .ending : .reading
    }

    private func row(of connection: Connection, _ now: Duration) -> Picture.Row {
        Picture.Row(
            id: String(connection.stream.rawValue), descriptor: Int(connection.descriptor),
            peer: connection.peer, state: state(of: connection),
            received: Int(connection.received), queued: connection.queued,
            age: ((connection.ended ?? now) - connection.since) / .seconds(1),
            news: Picture.kinds.filter { connection.had($0, before: pictures) }.map(Picture.name))
    }
}

extension EventLoop.Statistics {
    /// The system calls for I/O: waits, receives, sends and accepts.
    var systemCalls: UInt64 { turns + receives + sends + accepts }
}
