internal import CSluice
public import Glibc

/// How a stream's bytes are cut into frames: by lines, by a delimiter, by a length in front, or by
/// a fixed size. Each rule has a limit. If a peer goes over it, the stream ends with
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
    /// The most bytes of a frame, without its delimiter or length.
    @usableFromInline
    let limit: Int
    /// How many bytes the length in front has.
    var width = 0
    var order = ByteOrder.bigEndian
    /// How many of the bytes that a length counts are not part of the frame.
    var excess = 0
    /// The delimiter, for the rule `delimiter`. For every other rule it is `nil`, since the
    /// references of an array would be counted with every event.
    var delimiter: [UInt8]?
    /// Whether the bytes after the last delimiter are a frame too, when the stream ends.
    var takesRest = false

    private init(_ rule: Rule, _ limit: Int) {
        require(limit >= 1, "a limit of \(limit) bytes; a frame is to have 1 at least")
        self.rule = rule
        // A limit that large is as good as none, and sums with it cannot overflow.
        self.limit = min(limit, .max / 4)
    }

    /// Lines, without their line ends: "\n" or "\r\n". When the stream ends, what stands after the
    /// last line end is a line too.
    ///
    /// - Parameter limit: the most bytes of a line.
    public static func lines(limit: Int = 8_192) -> Self {
        var framing = Self(.lines, limit)
        framing.takesRest = true
        return framing
    }

    /// The bytes before each delimiter, without it.
    ///
    /// - Parameters:
    ///   - delimiter: at least 1 byte, which no frame contains.
    ///   - limit: the most bytes of a frame.
    ///   - takesRest: whether the bytes after the last delimiter are a frame too, when the stream
    ///     ends.
    public static func delimited(
        by delimiter: [UInt8], limit: Int = 65_536, takesRest: Bool = false
    ) -> Self {
        require(!delimiter.isEmpty, "a delimiter of no bytes; give at least 1")
        var framing = Self(.delimiter, limit)
        framing.delimiter = delimiter
        framing.takesRest = takesRest
        return framing
    }

    /// The bytes before each delimiter, such as "\r\n\r\n", without it.
    public static func delimited(
        by delimiter: String, limit: Int = 65_536, takesRest: Bool = false
    ) -> Self {
        delimited(by: Array(delimiter.utf8), limit: limit, takesRest: takesRest)
    }

    /// Frames of `size` bytes. Fewer bytes at the end of the stream are not a frame.
    public static func fixed(_ size: Int) -> Self {
        Self(.size, size)
    }

    /// A length, then that many bytes, which are the frame. Fewer bytes at the end of the stream
    /// are not a frame.
    ///
    /// - Parameters:
    ///   - width: how many bytes the length has: 1 to 8.
    ///   - order: the order of the length's bytes.
    ///   - countsItself: whether the length counts its own bytes too. Then a length under `width`
    ///     ends the stream with ``SluiceError/Code/badFrame``.
    ///   - limit: the most bytes of a frame.
    public static func length(
        _ width: Int, _ order: ByteOrder = .bigEndian, countsItself: Bool = false,
        limit: Int = 1 << 20
    ) -> Self {
        require((1...8).contains(width), "a length of \(width) bytes; it may have 1 to 8")
        var framing = Self(.length, limit)
        framing.width = width
        framing.order = order
        framing.excess = countsItself ? width : 0
        return framing
    }
}

extension Framing {
    /// What stands at the front of the bytes.
    enum Cut {
        /// A frame of `count` bytes behind `skipped` others. With its length or delimiter it takes
        /// `whole` bytes.
        case frame(skipped: Int, count: Int, whole: Int)
        /// No frame is complete. The next one takes `needed` bytes. 0 means that this is not known,
        /// and that all bytes have been searched.
        case none(needed: Int)
        /// The peer has broken the rule.
        case refused(SluiceError.Code)
    }

    /// Looks for a frame at the front of the bytes.
    ///
    /// - Parameters:
    ///   - searched: how many of the first bytes are known to contain no end of a frame.
    ///   - isLast: whether nothing follows the bytes.
    func cut(_ bytes: Span<UInt8>, searched: Int, isLast: Bool) -> Cut {
        switch rule {
        case .lines:
            guard let end = bytes.firstIndex(of: 0x0A, from: searched) else {
                // The line may have its "\r" already.
                return cutRest(bytes.count, most: limit + 1, isLast)
            }
            let hasReturn = end > 0 && bytes[end - 1] == 0x0D
            return within(0, end - (hasReturn ? 1 : 0), whole: end + 1)
        case .delimiter:
            let delimiter = delimiter ?? []
            // The delimiter may have begun in the bytes that were searched.
            let from = max(0, searched - delimiter.count + 1)
            guard let end = bytes.firstIndex(of: delimiter.span, from: from) else {
                return cutRest(bytes.count, most: limit + delimiter.count - 1, isLast)
            }
            return within(0, end, whole: end + delimiter.count)
        case .size:
            return bytes.count < limit ? .none(needed: limit) : within(0, limit, whole: limit)
        case .length:
            return cutLength(bytes)
        }
    }

    private func cutLength(_ bytes: Span<UInt8>) -> Cut {
        guard bytes.count >= width else { return .none(needed: width) }
        var length: UInt64 = 0
        for index in 0..<width {
            length = length << 8 | UInt64(bytes[order == .bigEndian ? index : width - 1 - index])
        }
        guard length >= excess else { return .refused(.badFrame) }
        length -= UInt64(excess)
        guard length <= limit else { return .refused(.frameTooLong) }
        let whole = width + Int(length)
        return bytes.count < whole
            ? .none(needed: whole) : within(width, Int(length), whole: whole)
    }

    /// The bytes after the last delimiter, if nothing follows.
    private func cutRest(_ count: Int, most: Int, _ isLast: Bool) -> Cut {
        guard count <= most else { return .refused(.frameTooLong) }
        guard isLast && takesRest && count > 0 else { return .none(needed: 0) }
        return within(0, count, whole: count)
    }

    private func within(_ skipped: Int, _ count: Int, whole: Int) -> Cut {
        count <= limit
            ? .frame(skipped: skipped, count: count, whole: whole) : .refused(.frameTooLong)
    }
}

/// The complete frames in the bytes of an event, one after the other. What is left at the next pull
/// is held, and comes again with what follows. See ``EventLoop/frames(of:in:by:)``.
@safe
public struct Frames: ~Escapable {
    // Frames are copyable, and the loop holds what is left, not a deinit. The reason: if a type is
    // neither copyable nor escapable, the compiler (6.3) lets a variable of it be kept too long,
    // without an error. The position is in the loop too, so that the loop knows what is left: see
    // EventLoop.Rest.

    @usableFromInline
    let framing: Framing
    @usableFromInline
    let pulled: UnsafeMutablePointer<EventLoop.Pulled>

    @_lifetime(immortal)
    init(_ framing: Framing, _ pulled: UnsafeMutablePointer<EventLoop.Pulled>) {
        self.framing = framing
        unsafe self.pulled = pulled
    }

    /// The bytes that have not been made into frames yet. They are for what is framed in another
    /// way, such as a body whose length stands in a head. They may be given to
    /// ``EventLoop/frames(of:in:by:)`` again.
    public var rest: Span<UInt8> {
        @_lifetime(copy self)
        get {
            let rest = unsafe Span(
                _unsafeStart: pulled.pointee.rest.start, count: pulled.pointee.rest.length)
            return unsafe _overrideLifetime(rest, copying: self)
        }
    }

    /// The next frame, or `nil` if no further one is complete. It may be kept until the next pull.
    ///
    /// - Complexity: O(frame), no copy.
    @inlinable
    @_lifetime(copy self)
    public mutating func next() -> Span<UInt8>? {
        framing.rule == .lines ? nextLine() : nextOther()
    }

    /// Why there are no more frames, if the peer has broken the rule: a frame is over its limit, or
    /// has an impossible length. If you take the reason, you end the stream yourself, with an
    /// answer of your own. Otherwise the next pull ends it, with the reason in its
    /// ``Event/closed(_:_:)``.
    ///
    /// ```swift
    /// if lines.takeRefusal() != nil {
    ///     loop.write("500 Line too long\r\n", to: stream)
    ///     loop.close(stream)
    /// }
    /// ```
    public mutating func takeRefusal() -> SluiceError.Code? {
        let code = unsafe pulled.pointee.rest.refusal
        unsafe pulled.pointee.rest.refusal = 0
        return code == 0 ? nil : SluiceError.Code(rawValue: code)
    }

    @inlinable
    @inline(__always)
    @_lifetime(copy self)
    mutating func nextLine() -> Span<UInt8>? {
        let start = unsafe pulled.pointee.rest.start
        let searched = unsafe pulled.pointee.rest.searched
        let left = unsafe pulled.pointee.rest.end - start &- searched
        guard let found = unsafe memchr(start + searched, 0x0A, left) else {
            // The line may have its "\r" already.
            return lastFrame(most: framing.limit &+ 1)
        }
        let at = unsafe UnsafeRawPointer(found) - UnsafeRawPointer(start)
        let hasReturn = unsafe at > 0 && start[at - 1] == 0x0D
        return frame(at &- (hasReturn ? 1 : 0), then: at &+ 1)
    }

    @usableFromInline
    @_lifetime(copy self)
    mutating func nextOther() -> Span<UInt8>? {
        let searched = unsafe pulled.pointee.rest.searched
        let isLast = unsafe pulled.pointee.rest.isLast
        switch framing.cut(rest, searched: searched, isLast: isLast) {
        case .frame(let skipped, let count, let whole):
            unsafe pulled.pointee.rest.start += skipped
            return frame(count, then: whole - skipped)
        case .none(let needed):
            if needed > 0 {
                unsafe pulled.pointee.rest.needed = needed
            } else {
                wasSearched()
            }
            return nil
        case .refused(let reason): return refuse(reason)
        }
    }

    /// The first bytes, if they are within the limit.
    @inlinable
    @inline(__always)
    @_lifetime(copy self)
    mutating func frame(_ length: Int, then next: Int) -> Span<UInt8>? {
        guard length <= framing.limit else { return refuse(.frameTooLong) }
        let start = unsafe pulled.pointee.rest.start
        unsafe pulled.pointee.rest.start = start + next
        unsafe pulled.pointee.rest.searched = 0
        let frame = unsafe Span(_unsafeStart: start, count: length)
        return unsafe _overrideLifetime(frame, copying: self)
    }

    /// There is no further delimiter. Gives the bytes after the last one, if nothing follows.
    @usableFromInline
    @inline(never)
    @_lifetime(copy self)
    mutating func lastFrame(most: Int) -> Span<UInt8>? {
        let length = unsafe pulled.pointee.rest.length
        guard length <= most else { return refuse(.frameTooLong) }
        wasSearched()
        guard unsafe pulled.pointee.rest.isLast && framing.takesRest && length > 0 else {
            return nil
        }
        return frame(length, then: length)
    }

    /// Notes that what is left contains no end of a frame.
    private mutating func wasSearched() {
        let length = unsafe pulled.pointee.rest.length
        unsafe pulled.pointee.rest.searched = length
        if unsafe length >= EventLoop.Rest.worthNoting { unsafe pulled.pointee.note(framing) }
    }

    @usableFromInline
    @inline(never)
    @_lifetime(copy self)
    mutating func refuse(_ reason: SluiceError.Code) -> Span<UInt8>? {
        unsafe pulled.pointee.rest.start = unsafe pulled.pointee.rest.end
        unsafe pulled.pointee.rest.searched = 0
        unsafe pulled.pointee.rest.refusal = reason.rawValue
        return nil
    }
}

extension EventLoop {
    /// The complete frames in the bytes of the ``Event/data(_:_:)`` that was pulled last. What is
    /// left over is held for you, and comes again with what follows. That is so even if you leave
    /// the loop over the frames early.
    ///
    /// ```swift
    /// case .data(let stream, let bytes):
    ///     var lines = loop.frames(of: stream, in: bytes, by: .lines())
    ///     while let line = lines.next() { loop.write(line, to: stream) }
    /// ```
    ///
    /// A frame over its limit ends the stream, with the reason in its ``Event/closed(_:_:)``, unless
    /// ``Frames/takeRefusal()`` is called.
    ///
    /// - Parameter bytes: the event's bytes, or the rest of them after some were taken from the
    ///   front.
    /// - Complexity: O(1). Only what is held is copied.
    @_lifetime(copy bytes, borrow self)
    public func frames(
        of stream: StreamID, in bytes: Span<UInt8>, by framing: Framing
    ) -> Frames {
        // The frames borrow the loop too: a span that belongs to nobody, such as an empty one, may
        // live for ever.
        let event = unsafe pulled.pointee.event
        let isInHand = unsafe event.kind == SLUICE_DATA.rawValue && event.id == stream.rawValue
        require(isInHand, "frames(of:in:by:) is for the stream of the event in hand")
        let taken = unsafe bytes.withUnsafeBytes { bytes in
            // An empty span has no address. It is what is left after all has been taken.
            guard let start = bytes.baseAddress, unsafe !bytes.isEmpty else {
                return unsafe event.length
            }
            return unsafe start - event.data
        }
        let behind = unsafe event.length - taken - bytes.count
        require(
            taken >= 0 && behind >= 0, "frames(of:in:by:) is for the bytes of the event in hand")
        let isWhole = taken == 0 && behind == 0
        unsafe pulled.pointee.begin(
            framing, from: taken, bytes.count, behind: behind, isWhole: isWhole)
        return unsafe Frames(framing, pulled)
    }

    /// What frames have left of the event pulled last. From this the loop knows what to hold.
    @unsafe
    @usableFromInline
    struct Rest {
        /// If this many bytes or more have been searched, that is noted. Otherwise a peer that
        /// sends byte by byte would make the loop search all earlier bytes again for each new one.
        static let worthNoting = 4_096

        /// The bytes that have not been made into frames. The first values are never looked at.
        @usableFromInline var start = unsafe UnsafePointer<UInt8>(bitPattern: 1)!
        @usableFromInline var end = unsafe UnsafePointer<UInt8>(bitPattern: 1)!
        /// How many of their first bytes contain no end of a frame.
        @usableFromInline var searched = 0
        /// How many further bytes of the event follow them.
        var behind = 0
        /// How many bytes the next frame takes, or 0 if that is not known.
        var needed = 0
        /// Why the stream is to end, or 0.
        var refusal: CInt = 0
        /// Whether nothing follows. Then holding is of no use, except for a pause.
        var isLast = false
        /// Whether frames of the event were asked for.
        var isFramed = false

        var length: Int { unsafe end - start }
    }

    /// How many of the first bytes of a stream's next event need not be searched again.
    struct Searched {
        let framing: Framing
        let count: Int
    }

    /// Holds what frames have left of the event, before the next one is pulled. If the stream has
    /// no room for that, it ends.
    func holdRest() {
        guard unsafe pulled.pointee.rest.isFramed else { return }
        unsafe pulled.pointee.rest.isFramed = false
        let stream = unsafe pulled.pointee.event.id
        let refusal = unsafe pulled.pointee.rest.refusal
        if refusal != 0 {
            _ = unsafe sluice_abort_with(handle, stream, refusal)
            return
        }
        let behind = unsafe pulled.pointee.rest.behind
        let needed = unsafe pulled.pointee.rest.needed
        let count = unsafe pulled.pointee.rest.length + behind
        guard count > 0 else { return }
        let total = needed > 0 ? needed + behind : 0
        _ = isDone(unsafe sluice_hold_until(handle, stream, count, total), stream)
    }

    /// Ends the pause of a stream after the rest of its frames has been held.
    func resumeFramed() {
        let stream = unsafe pulled.pointee.resuming
        unsafe pulled.pointee.resuming = 0
        _ = isDone(unsafe sluice_resume(handle, stream), stream)
    }
}

extension EventLoop.Pulled {
    /// Makes frames begin at an index of the event's bytes.
    mutating func begin(
        _ framing: Framing, from index: Int, _ count: Int, behind: Int, isWhole: Bool
    ) {
        let start = unsafe event.data.assumingMemoryBound(to: UInt8.self) + index
        unsafe rest.start = start
        unsafe rest.end = start + count
        unsafe rest.searched = isWhole ? searchedBefore(by: framing) : 0
        unsafe rest.behind = behind
        unsafe rest.needed = 0
        unsafe rest.refusal = 0
        unsafe rest.isLast = event.value & UInt64(SLUICE_LAST) != 0
        unsafe rest.isFramed = true
        unsafe isPlain = false
    }

    /// Notes that all that is left has been searched.
    mutating func note(_ framing: Framing) {
        guard unsafe rest.behind == 0 && !rest.isLast else { return }
        unsafe searched[event.id] = unsafe EventLoop.Searched(framing: framing, count: rest.length)
    }

    /// How many of the event's first bytes have been searched for the end of a frame.
    private mutating func searchedBefore(by framing: Framing) -> Int {
        guard unsafe !searched.isEmpty, let noted = unsafe searched.removeValue(forKey: event.id),
            unsafe noted.framing == framing && noted.count == Int(event.value >> 1)
        else { return 0 }
        return noted.count
    }
}
