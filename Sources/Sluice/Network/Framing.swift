internal import CSluice
private import Glibc

/// How a stream's bytes are cut into frames: by lines, a delimiter, a length in front, or a fixed
/// size. Each has a limit; a peer that goes over it has its stream ended, with
/// ``SluiceError/Code/frameTooLong``.
public struct Framing: Hashable, Sendable {
    enum Rule: Hashable, Sendable {
        case lines
        case delimiter
        case size
        case length
    }

    let rule: Rule
    /// The most bytes of a frame, without what delimits it.
    let limit: Int
    /// How many bytes the delimiter has, or the length in front.
    var width = 0
    var order = ByteOrder.bigEndian
    /// How much of what a length counts is not the frame.
    var excess = 0
    /// None for lines, so that there is nothing to allocate.
    var delimiter: [UInt8] = []

    private init(_ rule: Rule, _ limit: Int) {
        precondition(limit >= 1, "a limit of \(limit) bytes; a frame is to have 1 at least")
        self.rule = rule
        self.limit = limit
    }

    /// Lines, without their ends: "\n" or "\r\n". What stands after the last end when the stream
    /// ends is a line, too.
    ///
    /// - Parameter limit: the most bytes of a line.
    public static func lines(limit: Int = 8_192) -> Self {
        var framing = Self(.lines, limit)
        framing.width = 1
        return framing
    }

    /// What stands before each delimiter, and at the end of the stream what stands after the last.
    ///
    /// - Parameters:
    ///   - delimiter: at least 1 byte, which no frame contains.
    ///   - limit: the most bytes of a frame.
    public static func delimited(by delimiter: [UInt8], limit: Int = 65_536) -> Self {
        precondition(!delimiter.isEmpty, "a delimiter of no bytes; give at least 1")
        var framing = Self(.delimiter, limit)
        framing.width = delimiter.count
        framing.delimiter = delimiter
        return framing
    }

    /// What stands before each delimiter, such as "\r\n\r\n".
    public static func delimited(by delimiter: String, limit: Int = 65_536) -> Self {
        delimited(by: Array(delimiter.utf8), limit: limit)
    }

    /// So many bytes each. Fewer at the end of the stream are no frame.
    public static func fixed(_ size: Int) -> Self {
        Self(.size, size)
    }

    /// A length, then so many bytes, which are the frame. Fewer at the end of the stream are no frame.
    ///
    /// - Parameters:
    ///   - width: how many bytes the length has: 1 to 8.
    ///   - order: in which order they stand.
    ///   - countsItself: whether the length counts its own bytes, too. One that is less than them
    ///     ends the stream with ``SluiceError/Code/badFrame``.
    ///   - limit: the most bytes of a frame.
    public static func length(
        _ width: Int, _ order: ByteOrder = .bigEndian, countsItself: Bool = false,
        limit: Int = 1 << 20
    ) -> Self {
        precondition((1...8).contains(width), "a length of \(width) bytes; it may have 1 to 8")
        var framing = Self(.length, limit)
        framing.width = width
        framing.order = order
        framing.excess = countsItself ? width : 0
        return framing
    }
}

/// The frames that are whole among the bytes of an event, one after the other. What is left at the next
/// pull is held, and comes again with what follows. See ``EventLoop/frames(of:in:by:)``.
@safe
public struct Frames: ~Escapable {
    // Copyable, and what is left is held by the loop and not by a deinit: the compiler (6.3) lets a
    // variable of a type that is neither copyable nor escapable be kept too long, and says nothing.

    private let framing: Framing
    private let pulled: UnsafeMutablePointer<EventLoop.Pulled>
    /// The bytes that no frame was made of yet: for what is framed otherwise, such as a body whose
    /// length a head says. They may be given to ``EventLoop/frames(of:in:by:)`` again.
    public private(set) var rest: Span<UInt8>
    /// How many of the rest's first bytes have no end of a frame among them, as is known.
    private var searched: Int
    /// How many bytes behind the rest are the event's, too.
    private let behind: Int
    /// Whether nothing follows.
    private let isLast: Bool

    @_lifetime(copy bytes)
    init(
        _ framing: Framing, _ pulled: UnsafeMutablePointer<EventLoop.Pulled>, _ bytes: Span<UInt8>,
        searched: Int, behind: Int, isLast: Bool
    ) {
        self.framing = framing
        unsafe self.pulled = pulled
        rest = bytes
        self.searched = searched
        self.behind = behind
        self.isLast = isLast
        unsafe pulled.pointee.rest.stream = unsafe pulled.pointee.event.id
        unsafe pulled.pointee.rest.framing = framing
        unsafe pulled.pointee.isPlain = false
        leave()
    }

    /// Has the loop hold what is left, when it pulls. At the end of the stream that would be in vain.
    private func leave(isSearched: Bool = false) {
        unsafe pulled.pointee.rest.count = isLast ? 0 : rest.count + behind
        unsafe pulled.pointee.rest.isSearched = isSearched
    }

    /// The next frame, or `nil` where none is whole. It may be kept until the next pull.
    ///
    /// - Complexity: O(frame), no copy.
    @_lifetime(copy self)
    public mutating func next() -> Span<UInt8>? {
        let frame = cut()
        leave(isSearched: searched > 0)
        return frame
    }

    @_lifetime(copy self)
    private mutating func cut() -> Span<UInt8>? {
        switch framing.rule {
        case .lines:
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n"), from: searched) else {
                return lastFrame()
            }
            return frame(before: end, 1)
        case .delimiter:
            guard let end = rest.firstIndex(of: framing.delimiter.span, from: searched) else {
                return lastFrame()
            }
            return frame(before: end, framing.width)
        case .size:
            return take(0, framing.limit)
        case .length:
            guard let length = lengthInFront() else { return nil }
            return take(framing.width, length)
        }
    }

    @_lifetime(copy self)
    private mutating func frame(before end: Int, _ width: Int) -> Span<UInt8>? {
        searched = 0
        var length = end
        if framing.rule == .lines && length > 0 && rest[length - 1] == UInt8(ascii: "\r") {
            length -= 1
        }
        guard length <= framing.limit else { return refuse(.frameTooLong) }
        let frame = rest.extracting(0..<length)
        rest = rest.extracting((end + width)...)
        return frame
    }

    /// What stands behind the last delimiter, where nothing follows.
    @_lifetime(copy self)
    private mutating func lastFrame() -> Span<UInt8>? {
        // A line may have its "\r" already.
        let most = framing.limit + framing.width - (framing.rule == .lines ? 0 : 1)
        guard rest.count <= most else { return refuse(.frameTooLong) }
        searched = max(0, rest.count - framing.width + 1)
        guard isLast && !rest.isEmpty else { return nil }
        guard rest.count <= framing.limit else { return refuse(.frameTooLong) }
        let frame = rest
        rest = rest.extracting(last: 0)
        searched = 0
        return frame
    }

    /// The length that stands in front, where it is there and may be.
    private mutating func lengthInFront() -> Int? {
        guard rest.count >= framing.width else { return nil }
        var length: UInt64 = 0
        for index in 0..<framing.width {
            let place = framing.order == .bigEndian ? index : framing.width - 1 - index
            length = length << 8 | UInt64(rest[place])
        }
        guard length >= framing.excess else {
            breakOff(.badFrame)
            return nil
        }
        length -= UInt64(framing.excess)
        guard length <= framing.limit else {
            breakOff(.frameTooLong)
            return nil
        }
        return Int(length)
    }

    @_lifetime(copy self)
    private mutating func take(_ start: Int, _ length: Int) -> Span<UInt8>? {
        guard rest.count - start >= length else { return nil }
        let frame = rest.extracting(start..<(start + length))
        rest = rest.extracting((start + length)...)
        return frame
    }

    @_lifetime(copy self)
    private mutating func refuse(_ reason: SluiceError.Code) -> Span<UInt8>? {
        breakOff(reason)
        return nil
    }

    private mutating func breakOff(_ reason: SluiceError.Code) {
        searched = 0
        rest = rest.extracting(last: 0)
        _ = unsafe sluice_abort_with(
            pulled.pointee.handle, pulled.pointee.event.id, reason.rawValue)
    }
}

extension EventLoop {
    /// The frames that are whole among the bytes of the ``Event/data(_:_:)`` in hand. What is left
    /// over is held by itself, and comes again with what follows: also where it is left because the
    /// loop over the frames was broken off.
    ///
    /// ```swift
    /// case .data(let stream, let bytes):
    ///     var lines = loop.frames(of: stream, in: bytes, by: .lines())
    ///     while let line = lines.next() { loop.write(line, to: stream) }
    /// ```
    ///
    /// A frame over its limit ends the stream, with the reason in its ``Event/closed(_:_:)``.
    ///
    /// - Parameter bytes: the event's, or what is left of them after what was taken from their front.
    /// - Complexity: O(1); no copy but of what is held.
    @_lifetime(copy bytes, borrow self)
    public func frames(
        of stream: StreamID, in bytes: Span<UInt8>, by framing: Framing
    ) -> Frames {
        // They borrow the loop, too: bytes that are nobody's, such as none, may live for ever.
        let event = unsafe pulled.pointee.event
        let isInHand = unsafe event.kind == SLUICE_DATA.rawValue && event.id == stream.rawValue
        precondition(isInHand, "frames(of:in:by:) is for the stream of the event in hand")
        let taken = unsafe bytes.withUnsafeBytes { bytes in
            // Nothing has no place: it is what is left after all has been taken.
            guard let start = bytes.baseAddress, unsafe !bytes.isEmpty else {
                return unsafe event.length
            }
            return unsafe start - event.data
        }
        precondition(
            unsafe taken >= 0 && taken + bytes.count <= event.length,
            "frames(of:in:by:) is for the bytes of the event in hand")
        let searched = unsafe pulled.pointee.searchedBefore(by: framing)
        let behind = unsafe event.length - taken - bytes.count
        return unsafe Frames(
            framing, pulled, bytes, searched: taken == 0 && behind == 0 ? searched : 0,
            behind: behind,
            isLast: event.value == event.length)
    }

    /// Holds what frames have left of the event in hand. What the stream has no room for ends it.
    func holdRest() {
        let rest = unsafe pulled.pointee.rest
        unsafe pulled.pointee.rest = Rest()
        guard rest.count > 0 else { return }
        if rest.isSearched && rest.count >= Rest.worthKnowing {
            unsafe pulled.pointee.searched[rest.stream] = rest
        }
        _ = isDone(unsafe sluice_hold(handle, rest.stream, rest.count), rest.stream)
    }

    /// What frames have left of the event in hand.
    struct Rest {
        /// From how many bytes on it is noted what has been searched: a peer that sends byte by byte
        /// must not have all that came before searched for each.
        static let worthKnowing = 4_096

        /// 0 where there is none.
        var stream: UInt64 = 0
        var count = 0
        var framing: Framing?
        /// Whether there is known to be no end of a frame in it.
        var isSearched = false
    }
}

extension EventLoop.Pulled {
    /// How many of the event's first bytes have been searched for the end of a frame. One may have
    /// begun among the last.
    mutating func searchedBefore(by framing: Framing) -> Int {
        guard unsafe !searched.isEmpty, let rest = unsafe searched.removeValue(forKey: event.id),
            unsafe rest.framing == framing && rest.count == Int(event.value)
        else { return 0 }
        return max(0, rest.count - framing.width + 1)
    }
}
