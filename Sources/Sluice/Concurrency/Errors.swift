/// A wait of a connection took longer than ``Connection/withDeadline(_:isolation:_:)`` or a limit
/// of ``Server/Options`` allows.
public struct TimedOut: Error, Hashable, Sendable, CustomStringConvertible {
    /// Makes one, for a test to throw.
    public init() {}

    /// In words.
    public var description: String {
        "the time is over; allow more, or find out why it takes so long"
    }
}

/// The stream ended before everything that was asked for had come.
public struct UnexpectedEnd: Error, Hashable, Sendable, CustomStringConvertible {
    /// How many bytes were there.
    public let count: Int
    /// How many were asked for; `nil` for a line, or for a read up to a delimiter.
    public let wanted: Int?

    /// Makes one, for a reader to throw.
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

/// What was read is longer than its limit.
public struct TooLong: Error, Hashable, Sendable, CustomStringConvertible {
    /// The most bytes that are allowed.
    public let limit: Int

    /// Makes one, for a reader to throw.
    public init(limit: Int) {
        self.limit = limit
    }

    /// In words.
    public var description: String {
        "what the peer sends is longer than \(limit.bytes); raise the limit, or part with the peer"
    }
}
