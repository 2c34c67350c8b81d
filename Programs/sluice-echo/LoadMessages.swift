import Sluice

/// The messages of a load. They are pieces of one text of random bytes, each from another place on.
/// So the messages under way on a connection all differ, and no answer passes for another's.
struct LoadMessages {
    /// A prime, so that this many messages in a row all have different places. It is more than are
    /// ever under way.
    private static let places = 4093

    let size: Int
    let text: [UInt8]

    init(size: Int) {
        self.size = size
        // Knuth's generator for MMIX: the same text each time.
        var state: UInt64 = 1
        text = (0..<size + Self.places).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }

    /// Where in the text a message is.
    func place(_ message: Int, of connection: Int) -> Range<Int> {
        let start = (message * 7 + connection * 13) % Self.places
        return start..<start + size
    }

    /// Compares bytes with the message's from `start` on. Returns where the first is that differs.
    func firstDifference(
        _ bytes: Span<UInt8>, ofMessage message: Int, of connection: Int, from start: Int
    ) -> Int? {
        let place = place(message, of: connection).lowerBound + start
        let expected = text.span.extracting(place..<place + bytes.count)
        if bytes.elementsEqual(expected) { return nil }
        return expected.indices.first { bytes[$0] != expected[$0] }
    }
}
