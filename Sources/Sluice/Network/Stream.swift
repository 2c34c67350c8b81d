internal import CSluice
public import SystemPackage

/// The id of a stream of a loop: of a connection, or of a pipe, a terminal or a file that was
/// adopted.
///
/// Every stream ends with exactly one ``Event/closed(_:_:)``. None of its events follows that.
public struct StreamID: Handle {
    /// ``HandleKind/stream``
    public static var kind: HandleKind { .stream }

    /// The id's number in the C interface.
    public let rawValue: UInt64

    /// The id that has this number in the C interface.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

/// How a stream ended.
public struct StreamEnding: Hashable, Sendable {
    /// How many queued bytes the kernel did not take.
    public let unsentBytes: Int
    /// Whether the peer had ended its input before. Then all that the peer wanted to send has come,
    /// whatever the error. A program that forwards the stream gets no ``Event/endOfStream(_:)``,
    /// and learns of the end here.
    public let inputEnded: Bool
    /// Why it ended; `nil` for an orderly end.
    public let error: SluiceError.Code?

    @usableFromInline
    init(unsentBytes: Int, inputEnded: Bool, error: SluiceError.Code?) {
        self.unsentBytes = unsentBytes
        self.inputEnded = inputEnded
        self.error = error
    }
}

/// How a stream behaves. A time of less than a nanosecond counts as one.
public struct StreamOptions: Hashable, Sendable {
    /// Whether the stream stays open when the peer has ended (half-close), until you close it.
    public var staysHalfOpen: Bool
    /// Whether Nagle's algorithm is left on, which delays small writes.
    public var delaysSmallWrites: Bool
    /// Whether the kernel probes a silent peer (SO_KEEPALIVE).
    public var keepsAlive: Bool
    /// How long a peer must be silent before the first probe, in whole seconds. `nil` is the
    /// system's time.
    public var keepaliveDelay: Duration?
    /// The stream ends with the errno `timedOut` if no byte goes in or out for this long while the
    /// loop reads from it. `nil` is never.
    public var idleTimeout: Duration?
    /// How long a close may take after the last byte went.
    public var lingerTime: Duration
    /// The stream ends with the errno `timedOut` if it is not connected after this time. `nil` is
    /// never.
    public var connectTimeout: Duration?
    /// Whether the stream is not read from while it is over its high mark. So a peer that does not
    /// read is not read from either. For `nil`, accepted streams are throttled. Connected and
    /// adopted streams are not, since two ends that both wait for room would wait for ever.
    public var isThrottled: Bool?
    /// As ``EventLoop/Options/highMark``, for this stream. `nil` is the loop's.
    public var highMark: Int?
    /// As ``EventLoop/Options/lowMark``, for this stream. `nil` is a quarter of its high mark, or
    /// the loop's low mark if ``highMark`` is `nil` too.
    public var lowMark: Int?
    /// The address that the stream connects from: numeric, or `unix:@name`. Port 0 is any port. If
    /// the stream connects to a name, its addresses of another family are passed over. For `nil`
    /// the kernel chooses.
    public var source: Address?

    /// All options at their defaults, except those that are given.
    public init(
        staysHalfOpen: Bool = false,
        delaysSmallWrites: Bool = false,
        keepsAlive: Bool = false,
        keepaliveDelay: Duration? = nil,
        idleTimeout: Duration? = nil,
        lingerTime: Duration = .seconds(10),
        connectTimeout: Duration? = nil,
        isThrottled: Bool? = nil,
        highMark: Int? = nil,
        lowMark: Int? = nil,
        source: Address? = nil
    ) {
        self.staysHalfOpen = staysHalfOpen
        self.delaysSmallWrites = delaysSmallWrites
        self.keepsAlive = keepsAlive
        self.keepaliveDelay = keepaliveDelay
        self.idleTimeout = idleTimeout
        self.lingerTime = lingerTime
        self.connectTimeout = connectTimeout
        self.isThrottled = isThrottled
        self.highMark = highMark
        self.lowMark = lowMark
        self.source = source
    }
}

extension StreamEnding: CustomStringConvertible {
    /// In words, such as "ECONNRESET, 12 bytes unsent".
    public var description: String {
        "\(error.map { "\($0)" } ?? "in order"), \(unsentBytes.bytes) unsent"
    }
}

extension Int {
    /// The number as a count of bytes: "1 byte".
    var bytes: String { self == 1 ? "1 byte" : "\(self) bytes" }
}

extension StreamOptions {
    /// Calls `body` with the options in C's form. There 0 means a default, so 0 cannot be asked
    /// for.
    func withC(
        _ body: (UnsafePointer<sluice_stream_options>) -> CInt
    ) throws(SluiceError) -> CInt {
        func time(_ duration: Duration?) -> Int64 {
            duration.map { max(1, EventLoop.nanoseconds($0)) } ?? 0
        }
        let second: Int64 = 1_000_000_000
        let keepalive = time(keepaliveDelay)
        var options = unsafe sluice_stream_options()
        unsafe options.size = MemoryLayout<sluice_stream_options>.size
        unsafe options.flags = flags
        unsafe options.keepalive_seconds = UInt32(
            clamping: keepalive / second + (keepalive % second).signum())
        unsafe options.idle_timeout_ns = time(idleTimeout)
        unsafe options.linger_ns = time(lingerTime)
        unsafe options.connect_timeout_ns = time(connectTimeout)
        unsafe options.high_mark = try positive(highMark, "highMark")
        unsafe options.low_mark = try positive(lowMark, "lowMark")
        guard let source else { return unsafe body(&options) }
        try source.check("connect from")
        return unsafe source.text.withCString {
            unsafe options.source = $0
            return unsafe body(&options)
        }
    }

    private var flags: UInt32 {
        var flags: UInt32 = 0
        if staysHalfOpen { flags |= SLUICE_HALF_OPEN.rawValue }
        if delaysSmallWrites { flags |= SLUICE_DELAY.rawValue }
        if keepsAlive { flags |= SLUICE_KEEPALIVE.rawValue }
        if let isThrottled {
            flags |= isThrottled ? SLUICE_THROTTLED.rawValue : SLUICE_UNTHROTTLED.rawValue
        }
        return flags
    }
}

extension EventLoop {
    /// Connects to an address, or to a name such as "example.com:443". Never blocks.
    /// ``Event/connected(_:)`` or ``Event/closed(_:_:)`` tells how it went. What is written before
    /// that is queued.
    ///
    /// The addresses of a name are tried as RFC 8305 says. The first that connects is the stream.
    /// Until then the stream has no descriptor. ``StreamOptions/connectTimeout`` is the limit for
    /// all of this together. If the name has no address, the stream ends with
    /// ``SluiceError/Code/unknownName``, and ``nameProblem(of:)`` says more.
    ///
    /// - Throws: ``SluiceError/Code/badAddress`` or another code of a wrong address,
    ///   ``SluiceError/Code/badOption``, ``SluiceError/Code/full`` if too many names wait to be
    ///   looked up, or an errno of the machine, such as `addressFamilyNotSupported`. A failure of
    ///   the connect itself is never thrown, even if it fails because no descriptor is left.
    @discardableResult
    public func connect(
        to address: String, options: StreamOptions = StreamOptions()
    ) throws(SluiceError) -> StreamID {
        try connect(to: Address(address), options: options)
    }

    /// Connects to an address that was made from its parts.
    @discardableResult
    public func connect(
        to address: Address, options: StreamOptions = StreamOptions()
    ) throws(SluiceError) -> StreamID {
        try address.check("connect to")
        var id: UInt64 = 0
        let code = try unsafe options.withC { options in
            unsafe sluice_connect(handle, &id, address.text, options)
        }
        try check(code, "connect to", .text(address.text))
        return StreamID(rawValue: id)
    }

    /// Makes a stream of a descriptor: a connected socket, a pipe, a terminal, a file, or anything
    /// else that can be read from or written to. It belongs to the loop from then on, which closes
    /// it. It is made non-blocking until the stream ends. If this throws, the descriptor stays the
    /// caller's.
    ///
    /// Other processes may have the same terminal or pipe open, such as the one at standard input.
    /// It becomes non-blocking for them, too. If a signal kills the program, nobody is left to undo
    /// that, and the shell that started the program is affected too. To avoid it,
    /// ``watch(_:for:userWord:)`` the descriptor, which changes nothing, and read when it is ready,
    /// as `sluice-echo client` does. Or adopt an open file of your own:
    /// `FileDescriptor.open("/dev/tty", .readWrite)`.
    ///
    /// - Throws: ``SluiceError/Code/badDescriptor``, ``SluiceError/Code/listeningSocket``,
    ///   ``SluiceError/Code/badOption``, ``SluiceError/Code/outOfMemory``, …
    @discardableResult
    public func adopt(
        _ descriptor: FileDescriptor, options: StreamOptions = StreamOptions()
    ) throws(SluiceError) -> StreamID {
        var id: UInt64 = 0
        let code = try unsafe options.withC { options in
            unsafe sluice_adopt(handle, &id, descriptor.rawValue, options)
        }
        try check(code, "adopt", .descriptor(descriptor))
        return StreamID(rawValue: id)
    }
}
