import Sluice

/// What a loop does at one moment, to be shown: as text by `Screen`, as JSON by the page.
///
/// Rates are those of the last second.
struct Picture: Encodable {
    /// The list of select that the connection would be in.
    enum State: String, Encodable, CodingKeyRepresentable, CaseIterable {
        /// The loop waits for what it sends.
        case reading
        /// The kernel has not taken all that it is owed. It is still read from.
        case writing
        /// It is owed so much that it is not read from, until it has taken some.
        case held
        /// It has sent its last byte.
        case ending
        case gone
    }

    /// Which connections come first.
    enum Order: String, CaseIterable {
        case received, queued, age
    }

    struct Row: Encodable {
        let id: String
        let descriptor: Int
        let peer: String
        let state: State
        let received: Int
        let queued: Int
        let age: Double
        /// Which kinds of events it had since the last picture.
        let news: [String]
    }

    static let mostRows = 60
    /// The kinds of events that connections have.
    static let kinds: [Event.Kind] = [
        .accepted, .data, .endOfStream, .drained, .closed, .overloaded,
    ]

    let address: String
    let backend: String
    let age: Double
    var events: [String: Int] = [:]
    var turns = 0
    var received = 0
    var sent = 0
    var calls = 0
    /// In bytes, now.
    var queued = 0
    /// In milliseconds, since the start.
    var longestGap = 0.0
    var turnTimes: [Int] = []
    /// The largest number of connections that there were at once.
    var most = 0
    /// How many connections are in each state.
    var states: [State: Int] = [:]
    /// The first of the connections, in order.
    var rows: [Row] = []
    /// How many connections are not among those.
    var hidden = 0
    /// The last events.
    var words: [String] = []

    init(address: String, backend: String, age: Double) {
        self.address = address
        self.backend = backend
        self.age = age
    }

    static func name(of kind: Event.Kind) -> String {
        kind == .endOfStream ? "end" : "\(kind)"
    }

    /// System calls in each turn, and events pulled in each turn, over the last second.
    var callsPerTurn: Double { Double(calls) / Double(max(turns, 1)) }
    var eventsPerTurn: Double { Double(events.values.reduce(0, +)) / Double(max(turns, 1)) }
}
