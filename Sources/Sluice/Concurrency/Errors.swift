/// A wait of a connection was over its time: ``Connection/withDeadline(_:isolation:_:)``, or a limit of
/// ``Server/Options``.
public struct TimedOut: Error, Hashable, Sendable, CustomStringConvertible {
    /// One that a test throws.
    public init() {}

    /// In words.
    public var description: String {
        "the time is over; allow more, or find out why it takes so long"
    }
}

/// The stream ended before what was to be read was there.
public struct UnexpectedEnd: Error, Hashable, Sendable, CustomStringConvertible {
    /// How many bytes were there.
    public let count: Int
    /// How many were asked for; `nil` for a line, or up to a delimiter.
    public let wanted: Int?

    /// One that a reader throws.
    public init(count: Int, wanted: Int? = nil) {
        self.count = count
        self.wanted = wanted
    }

    /// In words.
    public var description: String {
        let wanted = wanted.map { " of \($0)" } ?? " of a line or frame"
        return "the stream ended after \(count.bytes)\(wanted); the peer has sent no more"
    }
}

/// What was to be read is longer than its limit.
public struct TooLong: Error, Hashable, Sendable, CustomStringConvertible {
    /// The most bytes that there may be.
    public let limit: Int

    /// One that a reader throws.
    public init(limit: Int) {
        self.limit = limit
    }

    /// In words.
    public var description: String {
        "what the peer sends is longer than \(limit.bytes); raise the limit, or part with the peer"
    }
}
