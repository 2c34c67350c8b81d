import Sluice

/// What one connection of a load has sent, and how much of it is back.
struct LoadConnection {
    let number: Int
    private var sent = 0
    private var returned = 0
    /// How many bytes of the next message are back.
    private var begun = 0
    /// When each message under way was sent. The message with number n is at n modulo their count.
    private var sentAt: [ContinuousClock.Instant]

    init(number: Int, pipeline: Int) {
        self.number = number
        sentAt = Array(repeating: .now, count: pipeline)
    }

    /// Where in the text the next message is. It is sent now.
    mutating func next(
        of messages: LoadMessages, at now: ContinuousClock.Instant
    ) -> Range<Int> {
        sentAt[sent % sentAt.count] = now
        defer { sent += 1 }
        return messages.place(sent, of: number)
    }

    /// Whether messages are under way.
    var isWaiting: Bool { returned < sent }

    /// Takes what has come back, up to the end of a message. Returns how many bytes that is and, if
    /// it ended a message, when the message was sent.
    mutating func take(
        _ bytes: Span<UInt8>, _ messages: LoadMessages, verifies: Bool
    ) throws -> (count: Int, sentAt: ContinuousClock.Instant?) {
        guard returned < sent else { throw differs(at: 0, "more came back than was sent") }
        let count = min(bytes.count, messages.size - begun)
        if verifies,
            let index = messages.firstDifference(
                bytes.extracting(first: count), ofMessage: returned, of: number, from: begun)
        {
            throw differs(at: begun + index, "what came back differs from what was sent")
        }
        begun += count
        guard begun == messages.size else { return (count, nil) }
        begun = 0
        returned += 1
        return (count, sentAt[(returned - 1) % sentAt.count])
    }

    private func differs(at byte: Int, _ how: String) -> ClientFailure {
        ClientFailure(
            "\(how): connection \(number + 1), message \(returned + 1), byte \(byte + 1)")
    }
}
