import Glibc
import Sluice
import SystemPackage

/// What `--watch` shows, and the keys that it understands.
struct Screen {
    /// How fast events of connections are handled.
    private enum Pace: Equatable {
        case full
        /// This many a second.
        case slow(Int)
        /// One when a key says so.
        case paused

        var words: String {
            switch self {
            case .full: "full speed"
            case .slow(let events): "\(counted(events, "event")) a second"
            case .paused: "paused"
            }
        }
    }

    private let terminal: Terminal
    private var pace = Pace.full
    /// The pace to go on with after a pause.
    private var paceBefore = Pace.full
    /// Whether a pause lets the next event through.
    private var steps = false
    private(set) var order = Picture.Order.received
    private var wantsToQuit = false

    init(_ terminal: Terminal) throws {
        self.terminal = terminal
        try terminal.takeOver()
    }

    func end() {
        terminal.giveBack()
    }

    var hasKeys: Bool { terminal.hasKeys }

    // MARK: Keys

    /// False if there will be no more keys.
    mutating func takeKeys() throws -> Bool {
        let keys = try terminal.readKeys()
        for key in keys {
            switch Character(UnicodeScalar(key)) {
            case "s":
                let orders = Picture.Order.allCases
                let place = orders.firstIndex(of: order) ?? 0
                order = orders[(place + 1) % orders.count]
            case "p", " ":
                if pace == .paused {
                    pace = paceBefore
                } else {
                    paceBefore = pace
                    pace = .paused
                }
            case "n":
                steps = true
            case "-":
                pace = pace == .slow(10) || pace == .slow(1) ? .slow(1) : .slow(10)
            case "+", "=":
                pace = pace == .slow(1) ? .slow(10) : .full
            case "q":
                wantsToQuit = true
                pace = .full
            default: break
            }
        }
        return !keys.isEmpty
    }

    /// Whether the key for that was pressed. It is told once.
    mutating func takeWishToQuit() -> Bool {
        defer { wantsToQuit = false }
        return wantsToQuit
    }

    /// Goes on at full speed, because the loop is to end.
    mutating func hurry() {
        pace = .full
    }

    /// Whether the loop's thread must wait after an event.
    var isHeldBack: Bool { pace != .full }

    /// Waits a little, for keys as well. Returns whether there is more to wait since an event.
    /// Meanwhile the loop stands still. A handler must never do that, but here the user asked for
    /// it.
    mutating func waitsOn(since start: ContinuousClock.Instant) throws -> Bool {
        if interruptIsPending { return false }
        let keys = hasKeys ? [FileDescriptor.standardInput] : []
        let most = min(left(since: start), .milliseconds(100))
        if try !select(reading: keys, timeout: most).readable.isEmpty, try !takeKeys() { hurry() }
        if steps {
            steps = false
            return false
        }
        return left(since: start) > .zero
    }

    private func left(since start: ContinuousClock.Instant) -> Duration {
        switch pace {
        case .full: .zero
        case .slow(let events): max(.zero, .seconds(1) / events - (ContinuousClock.now - start))
        case .paused: .seconds(1)
        }
    }

    /// Whether an interrupt waits for the loop, which does not see it now.
    private var interruptIsPending: Bool {
        var pending = sigset_t()
        unsafe sigpending(&pending)
        return interrupts.contains { unsafe sigismember(&pending, $0) == 1 }
    }

    // MARK: Drawing

    func draw(_ picture: Picture) throws {
        let (columns, rows) = terminal.size
        try terminal.draw(
            lines(picture, rows: rows).prefix(rows).map { Self.visible($0).prefix(columns) })
    }

    /// The text without what a terminal obeys: a peer may have it in its name.
    private static func visible(_ text: String) -> String {
        String(
            text.map {
                $0.unicodeScalars.contains { $0.properties.generalCategory == .control } ? "?" : $0
            })
    }

    /// The picture in lines: the sums, the connections, the last events, and the keys.
    private func lines(_ picture: Picture, rows: Int) -> [String] {
        var lines = sums(picture)
        // The last events take a few lines, and the connections take the rest.
        let words = picture.words.suffix(max(0, min(Monitor.lastsShown, (rows - lines.count) / 4)))
        let room = max(1, rows - lines.count - words.count - 4)
        let all = picture.rows.count + picture.hidden
        lines.append("")
        lines.append("  fd  state      received     queued      age  peer")
        let shown = all > room ? room - 1 : all
        for row in picture.rows.prefix(shown) { lines.append(line(row)) }
        if all > shown { lines.append("      and \((all - shown).grouped) more") }
        while lines.count < rows - words.count - 2 { lines.append("") }
        lines.append("last events")
        lines += words.map { "  \($0)" }
        lines.append(
            "\(pace.words), by \(order.rawValue)"
                + (hasKeys ? " | s sort  p pause  n next  - slower  + faster  q quit" : ""))
        return lines
    }

    private func sums(_ picture: Picture) -> [String] {
        func number(_ value: Int) -> String { value.grouped }
        let states = Picture.State.allCases.dropLast()
            .map { "\($0) \(number(picture.states[$0, default: 0]))" }
        let kinds = Picture.kinds.map(Picture.name)
            .map { "\($0) \(number(picture.events[$0, default: 0]))" }
        return [
            "sluice-echo at \(picture.address) with \(picture.backend), for \(picture.age.fixed(1)) s",
            "connections  \(states.joined(separator: "  "))  most \(number(picture.most))",
            "events/s     \(kinds.joined(separator: "  "))",
            "turns/s      \(number(picture.turns)), each with \(picture.eventsPerTurn.fixed(1)) events"
                + " and \(picture.callsPerTurn.fixed(1)) system calls",
            "bytes/s      received \(number(picture.received))  sent \(number(picture.sent))"
                + "  queued \(number(picture.queued)) bytes",
            "turn time    \(Self.bars(picture.turnTimes))  longest gap"
                + " \(picture.longestGap.fixed(1)) ms",
        ]
    }

    /// A histogram in one line, a bar for each power of two: "1µs ▁▂█▃ 16µs".
    static func bars(_ counts: [Int]) -> String {
        guard let first = counts.firstIndex(where: { $0 > 0 }),
            let last = counts.lastIndex(where: { $0 > 0 }), let most = counts.max()
        else { return "none yet" }
        let levels = Array("▁▂▃▄▅▆▇█")
        // On a logarithmic scale, so that what is rare shows beside what is usual.
        func level(_ count: Int) -> Character {
            guard count > 0 else { return " " }
            let part = most == 1 ? 1 : log(Double(count)) / log(Double(most))
            return levels[Int(part * Double(levels.count - 1))]
        }
        let bars = String(counts[first...last].map(level))
        return "\(time(first == 0 ? 0 : 1 << (first - 1))) \(bars) \(time(1 << last))"
    }

    private static func time(_ microseconds: Int) -> String {
        microseconds < 1_000 ? "\(microseconds)µs" : "\(microseconds / 1_000)ms"
    }

    private func line(_ row: Picture.Row) -> String {
        String(row.descriptor).padded(to: 4) + "  "
            + row.state.rawValue + String(repeating: " ", count: 8 - row.state.rawValue.count)
            + row.received.grouped.padded(to: 11) + row.queued.grouped.padded(to: 11)
            + "\(row.age.fixed(1)) s".padded(to: 9) + "  \(row.peer)"
    }
}
