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
    /// Of a delimiter alone: an array would have its references counted with every event.
    var delimiter: [UInt8]?
    /// Whether what stands behind the last delimiter at the end of the stream is a frame, too.
    var takesRest = false

    private init(_ rule: Rule, _ limit: Int) {
        precondition(limit >= 1, "a limit of \(limit) bytes; a frame is to have 1 at least")
        self.rule = rule
        // What is as good as none is so to what is reckoned with it, too.
        self.limit = min(limit, .max / 4)
    }

    /// Lines, without their ends: "\n" or "\r\n". What stands after the last end when the stream
    /// ends is a line, too.
    ///
    /// - Parameter limit: the most bytes of a line.
    public static func lines(limit: Int = 8_192) -> Self {
        var framing = Self(.lines, limit)
        framing.takesRest = true
        return framing
    }

    /// What stands before each delimiter, without it.
    ///
    /// - Parameters:
    ///   - delimiter: at least 1 byte, which no frame contains.
    ///   - limit: the most bytes of a frame.
    ///   - takesRest: whether what stands behind the last delimiter when the stream ends is a frame,
    ///     too.
    public static func delimited(
        by delimiter: [UInt8], limit: Int = 65_536, takesRest: Bool = false
    ) -> Self {
        precondition(!delimiter.isEmpty, "a delimiter of no bytes; give at least 1")
        var framing = Self(.delimiter, limit)
        framing.delimiter = delimiter
        framing.takesRest = takesRest
        return framing
    }

    /// What stands before each delimiter, such as "\r\n\r\n", without it.
    public static func delimited(
        by delimiter: String, limit: Int = 65_536, takesRest: Bool = false
    ) -> Self {
        delimited(by: Array(delimiter.utf8), limit: limit, takesRest: takesRest)
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

extension Framing {
    /// What the first of some bytes are.
    enum Cut {
        /// A frame of `count` bytes behind `skipped` others; `whole` bytes belong to it in all.
        case frame(skipped: Int, count: Int, whole: Int)
        /// No frame is whole. It takes `needed` bytes; 0 where that is not known, and then all have
        /// been searched.
        case none(needed: Int)
        /// The peer has broken the rule.
        case refused(SluiceError.Code)
    }

    /// Looks for a frame at the front of the bytes.
    ///
    /// - Parameters:
    ///   - searched: how many of the first of them are known to have no end of a frame.
    ///   - isLast: whether nothing follows them.
    func cut(_ bytes: Span<UInt8>, searched: Int, isLast: Bool) -> Cut {
        switch rule {
        case .lines:
            guard let end = bytes.firstIndex(of: 0x0A, from: searched) else {
                // It may have its "\r" already.
                return cutRest(bytes.count, most: limit + 1, isLast)
            }
            let hasReturn = end > 0 && bytes[end - 1] == 0x0D
            return within(0, end - (hasReturn ? 1 : 0), whole: end + 1)
        case .delimiter:
            let delimiter = delimiter ?? []
            // It may have begun among those that were searched.
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

    /// What stands behind the last delimiter, where nothing follows.
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

/// The frames that are whole among the bytes of an event, one after the other. What is left at the
/// next pull is held, and comes again with what follows. See ``EventLoop/frames(of:in:by:)``.
@safe
public struct Frames: ~Escapable {
    // Copyable, and what is left is held by the loop and not by a deinit: the compiler (6.3) lets a
    // variable of a type that is neither copyable nor escapable be kept too long, and says nothing.
    // Where it stands is the loop's, too, which so knows what is left: see EventLoop.Rest.

    @usableFromInline
    let framing: Framing
    @usableFromInline
    let pulled: UnsafeMutablePointer<EventLoop.Pulled>

    @_lifetime(immortal)
    init(_ framing: Framing, _ pulled: UnsafeMutablePointer<EventLoop.Pulled>) {
        self.framing = framing
        unsafe self.pulled = pulled
    }

    /// The bytes that no frame was made of yet: for what is framed otherwise, such as a body whose
    /// length a head says. They may be given to ``EventLoop/frames(of:in:by:)`` again.
    public var rest: Span<UInt8> {
        @_lifetime(copy self)
        get {
            let rest = unsafe Span(
                _unsafeStart: pulled.pointee.rest.start, count: pulled.pointee.rest.length)
            return unsafe _overrideLifetime(rest, copying: self)
        }
    }

    /// The next frame, or `nil` where none is whole. It may be kept until the next pull.
    ///
    /// - Complexity: O(frame), no copy.
    @inlinable
    @_lifetime(copy self)
    public mutating func next() -> Span<UInt8>? {
        framing.rule == .lines ? nextLine() : nextOther()
    }

    /// Why there are no more frames, where the peer has broken the rule: a frame is over its limit, or
    /// says a length that it cannot have. Who takes the reason ends the stream, in words of its own;
    /// else the next pull does, with the reason in its ``Event/closed(_:_:)``.
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
            // It may have its "\r" already.
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

    /// The first bytes, where they are within the limit.
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

    /// No delimiter is there: what stands behind the last one, where nothing follows.
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

    /// All that is left has no end of a frame.
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
    /// A frame over its limit ends the stream, with the reason in its ``Event/closed(_:_:)``, unless
    /// ``Frames/takeRefusal()`` is called.
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
        let behind = unsafe event.length - taken - bytes.count
        precondition(
            taken >= 0 && behind >= 0, "frames(of:in:by:) is for the bytes of the event in hand")
        let isWhole = taken == 0 && behind == 0
        unsafe pulled.pointee.begin(
            framing, from: taken, bytes.count, behind: behind, isWhole: isWhole)
        return unsafe Frames(framing, pulled)
    }

    /// What frames have left of the event in hand, from which the loop holds it.
    @unsafe
    @usableFromInline
    struct Rest {
        /// From how many bytes on it is noted that they have been searched. A peer that sends byte by
        /// byte is not to have all that came before searched for each.
        static let worthNoting = 4_096

        /// The bytes that no frame was made of. What is there to begin with is never looked at.
        @usableFromInline var start = unsafe UnsafePointer<UInt8>(bitPattern: 1)!
        @usableFromInline var end = unsafe UnsafePointer<UInt8>(bitPattern: 1)!
        /// How many of the first of them have no end of a frame among them.
        @usableFromInline var searched = 0
        /// How many bytes behind them are the event's, too.
        var behind = 0
        /// How many bytes it takes to go on, where that is known.
        var needed = 0
        /// Why the stream is to end, or 0.
        var refusal: CInt = 0
        /// Whether nothing follows: to hold is in vain, but for a pause.
        var isLast = false
        /// Whether there is any of this.
        var isFramed = false

        var length: Int { unsafe end - start }
    }

    /// The first bytes of a stream's next event, that need not be searched again.
    struct Searched {
        let framing: Framing
        let count: Int
    }

    /// Holds what frames have left of the event in hand, before the next is pulled. What the stream
    /// has no room for ends it.
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

    /// Ends the pause of the stream whose frames have just been held.
    func resumeFramed() {
        let stream = unsafe pulled.pointee.resuming
        unsafe pulled.pointee.resuming = 0
        _ = isDone(unsafe sluice_resume(handle, stream), stream)
    }
}

extension EventLoop.Pulled {
    /// Has frames begin at an index of the event's bytes.
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

    /// Takes note that all that is left has been searched.
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
