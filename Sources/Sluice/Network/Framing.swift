internal import CSluice
public import Glibc

/// How a stream's bytes are cut into frames: by lines, a delimiter, a length in front, or a fixed
/// size. Each has a limit; a peer that goes over it has its stream ended, with
/// ``SluiceError/Code/frameTooLong``.
public struct Framing: Hashable, Sendable {
    @usableFromInline
    enum Rule: Hashable, Sendable {
        case lines
        case delimiter
        case size
        case length
    }

    @usableFromInline
    let rule: Rule
    /// The most bytes of a frame, without what delimits it.
    @usableFromInline
    let limit: Int
    /// How many bytes the length in front has.
    var width = 0
    var order = ByteOrder.bigEndian
    /// How much of what a length counts is not the frame.
    var excess = 0
    /// `nil` but for a delimiter: an array would have its references counted.
    var delimiter: [UInt8]?

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
        Self(.lines, limit)
    }

    /// What stands before each delimiter, and at the end of the stream what stands after the last.
    ///
    /// - Parameters:
    ///   - delimiter: at least 1 byte, which no frame contains.
    ///   - limit: the most bytes of a frame.
    public static func delimited(by delimiter: [UInt8], limit: Int = 65_536) -> Self {
        precondition(!delimiter.isEmpty, "a delimiter of no bytes; give at least 1")
        var framing = Self(.delimiter, limit)
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

/// The frames that are whole among the bytes of an event, one after the other. What is left when this
/// ends is held, and comes again with what follows. See ``EventLoop/frames(of:in:by:)``.
@safe
public struct Frames: ~Copyable, ~Escapable {
    // A pointer and not a span moves over the bytes: each frame is a few instructions. It stays
    // between the ends of the span that it was made of, on whose lifetime this depends.

    @usableFromInline
    let framing: Framing
    @usableFromInline
    let loop: OpaquePointer
    @usableFromInline
    let stream: StreamID
    /// What is left of the bytes.
    @usableFromInline
    var start: UnsafePointer<UInt8>
    @usableFromInline
    let end: UnsafePointer<UInt8>
    /// How many of the first of them have been searched for the end of a frame.
    @usableFromInline
    var searched: Int
    /// How many bytes behind these are the event's, too.
    @usableFromInline
    let behind: Int
    /// Whether nothing follows.
    @usableFromInline
    let isLast: Bool
    /// How many bytes it takes to go on, where that is known.
    @usableFromInline
    var needed = 0
    @usableFromInline
    var isBroken = false

    @_lifetime(immortal)
    init(
        _ framing: Framing, _ loop: OpaquePointer, _ stream: StreamID,
        _ bytes: UnsafeBufferPointer<UInt8>, searched: Int, behind: Int, isLast: Bool
    ) {
        self.framing = framing
        unsafe self.loop = loop
        self.stream = stream
        unsafe start = bytes.baseAddress!
        unsafe end = unsafe start + bytes.count
        self.searched = searched
        self.behind = behind
        self.isLast = isLast
    }

    deinit {
        let count = rest + behind
        guard count > 0 && !isBroken && !isLast else { return }
        let code = unsafe sluice_hold_until(loop, stream.rawValue, count, needed + behind)
        if SluiceError.Code(rawValue: code).saysNoRoom {
            _ = unsafe sluice_abort_with(loop, stream.rawValue, code)
        }
    }

    /// How many bytes are left.
    @inlinable
    var rest: Int { unsafe end - start }

    /// The next frame, or `nil` where none is whole. It may be kept until the next pull.
    ///
    /// - Complexity: O(frame), no copy.
    @inlinable
    @_lifetime(copy self)
    public mutating func next() -> Span<UInt8>? {
        framing.rule == .lines ? nextLine() : nextOther()
    }

    @usableFromInline
    @_lifetime(copy self)
    mutating func nextOther() -> Span<UInt8>? {
        switch framing.rule {
        case .lines: nextLine()
        case .delimiter: nextDelimited()
        case .size: take(from: 0, framing.limit)
        case .length: nextWithLength()
        }
    }

    @inlinable
    @inline(__always)
    @_lifetime(copy self)
    mutating func nextLine() -> Span<UInt8>? {
        let lineEnd = UInt8(ascii: "\n")
        guard let found = unsafe memchr(start + searched, CInt(lineEnd), rest &- searched) else {
            // It may have its "\r" already.
            return lastFrame(most: framing.limit &+ 1)
        }
        let at = unsafe UnsafeRawPointer(found) - UnsafeRawPointer(start)
        let hasReturn = unsafe at > 0 && start[at - 1] == UInt8(ascii: "\r")
        return frame(at &- (hasReturn ? 1 : 0), then: at &+ 1)
    }

    @_lifetime(copy self)
    private mutating func nextDelimited() -> Span<UInt8>? {
        let bytes = unsafe Span(_unsafeStart: start, count: rest)
        let delimiter = framing.delimiter ?? []
        // It may have begun among those that were searched.
        let from = max(0, searched - delimiter.count + 1)
        guard let at = bytes.firstIndex(of: delimiter.span, from: from) else {
            return lastFrame(most: framing.limit + delimiter.count - 1)
        }
        return frame(at, then: at + delimiter.count)
    }

    /// The first bytes, where they are within the limit.
    @inlinable
    @inline(__always)
    @_lifetime(copy self)
    mutating func frame(_ length: Int, then next: Int) -> Span<UInt8>? {
        guard length <= framing.limit else { return refuse(.frameTooLong) }
        let frame = unsafe Span(_unsafeStart: start, count: length)
        unsafe start += next
        searched = 0
        return unsafe _overrideLifetime(frame, copying: self)
    }

    /// What stands behind the last delimiter, where nothing follows.
    @usableFromInline
    @inline(never)
    @_lifetime(copy self)
    mutating func lastFrame(most: Int) -> Span<UInt8>? {
        searched = rest
        if rest > most { return refuse(.frameTooLong) }
        return isLast && rest > 0 ? frame(rest, then: rest) : nil
    }

    @_lifetime(copy self)
    private mutating func nextWithLength() -> Span<UInt8>? {
        guard rest >= framing.width else {
            needed = framing.width
            return nil
        }
        var length: UInt64 = 0
        for index in 0..<framing.width {
            let place = framing.order == .bigEndian ? index : framing.width - 1 - index
            length = unsafe length << 8 | UInt64(start[place])
        }
        guard length >= framing.excess else { return refuse(.badFrame) }
        length -= UInt64(framing.excess)
        guard length <= framing.limit else { return refuse(.frameTooLong) }
        return take(from: framing.width, Int(length))
    }

    @_lifetime(copy self)
    private mutating func take(from: Int, _ length: Int) -> Span<UInt8>? {
        guard rest - from >= length else {
            needed = from + length
            return nil
        }
        unsafe start += from
        return frame(length, then: length)
    }

    /// Ends the stream.
    @usableFromInline
    @inline(never)
    @_lifetime(copy self)
    mutating func refuse(_ reason: SluiceError.Code) -> Span<UInt8>? {
        isBroken = true
        unsafe start = end
        searched = 0
        _ = unsafe sluice_abort_with(loop, stream.rawValue, reason.rawValue)
        return nil
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
    @_lifetime(copy bytes)
    public func frames(
        of stream: StreamID, in bytes: Span<UInt8>, by framing: Framing
    ) -> Frames {
        let event = unsafe pulled.pointee.event
        let taken = unsafe bytes.withUnsafeBytes { bytes in
            unsafe bytes.baseAddress.map { unsafe $0 - event.data } ?? event.length
        }
        let behind = unsafe event.length - taken - bytes.count
        precondition(
            unsafe event.kind == SLUICE_DATA.rawValue && event.id == stream.rawValue && taken >= 0
                && behind >= 0, "frames(of:in:by:) is for the bytes of the event in hand")
        let start = unsafe event.data.assumingMemoryBound(to: UInt8.self) + taken
        let frames = unsafe Frames(
            framing, handle, stream, UnsafeBufferPointer(start: start, count: bytes.count),
            searched: max(0, Int(event.value >> 1) - taken), behind: behind,
            isLast: event.value & UInt64(SLUICE_LAST) != 0)
        return unsafe _overrideLifetime(frames, copying: bytes)
    }
}
