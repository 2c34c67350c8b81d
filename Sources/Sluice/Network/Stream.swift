internal import CSluice
public import SystemPackage

/// Names a stream of a loop: a connection, or a pipe, a terminal or a file that was adopted.
///
/// Every stream ends in exactly one ``Event/closed(_:_:)``, and nothing follows that.
public struct StreamID: Handle {
    /// ``HandleKind/stream``
    public static var kind: HandleKind { .stream }

    /// The name as the C interface has it.
    public let rawValue: UInt64

    /// The name that the C interface has so.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

/// How a stream ended.
public struct StreamEnding: Hashable, Sendable {
    /// How many queued bytes the kernel did not take.
    public let unsentBytes: Int
    /// Whether the peer had ended its input before: so all that it wanted to send has come, whatever
    /// the error. Who forwards the stream, and so is told of no end, has it from here.
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

/// How a stream behaves. A time of less than a nanosecond is one.
public struct StreamOptions: Hashable, Sendable {
    /// Whether it stays open when the peer has ended (half-close), until it is closed.
    public var staysHalfOpen: Bool
    /// Whether Nagle's algorithm is left on, which delays small writes.
    public var delaysSmallWrites: Bool
    /// Whether the kernel probes a silent peer (SO_KEEPALIVE).
    public var keepsAlive: Bool
    /// How long a peer is silent before the first probe, in whole seconds; the system's for
    /// `nil`.
    public var keepaliveDelay: Duration?
    /// Without a byte in or out for so long, while the loop reads, it ends, with the errno
    /// `timedOut`; never for `nil`.
    public var idleTimeout: Duration?
    /// How long a close may take after the last byte went.
    public var lingerTime: Duration
    /// Not connected after so long it ends, with the errno `timedOut`; never for `nil`.
    public var connectTimeout: Duration?
    /// Whether it is not read from while it is over its high mark, so that a peer that does not
    /// read is not read from. For `nil` accepted streams are so; connected and adopted ones are
    /// not, since two ends that both wait for room would wait for ever.
    public var isThrottled: Bool?
    /// As ``EventLoop/Options/highMark``, for this stream; the loop's for `nil`.
    public var highMark: Int?
    /// As ``EventLoop/Options/lowMark``, for this stream; for `nil` a quarter of its high mark,
    /// or the loop's where that is `nil` too.
    public var lowMark: Int?
    /// The address that it connects from: numeric, or `unix:@name`. Port 0 is any port. Of a
    /// name's addresses, those of another family are passed over. The kernel chooses for `nil`.
    public var source: Address?

    /// The defaults, but where told.
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
    /// Hands `body` the options as C takes them, where 0 is a default and thus nothing that can be
    /// asked for.
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
    /// ``Event/connected(_:)`` or ``Event/closed(_:_:)`` tells how it went; what is written before
    /// that is queued.
    ///
    /// A name's addresses are tried as RFC 8305 says, and the first that connects is the stream.
    /// Until then it has no descriptor. ``StreamOptions/connectTimeout`` holds for all of it
    /// together. Where the name has no address, the stream ends with
    /// ``SluiceError/Code/unknownName``, and ``nameProblem(of:)`` says more.
    ///
    /// - Throws: ``SluiceError/Code/badAddress`` and its like, ``SluiceError/Code/badOption``,
    ///   ``SluiceError/Code/full`` where too many names wait to be looked up, or an errno of the
    ///   machine's, such as `addressFamilyNotSupported`. A connect that fails is never thrown, also
    ///   where it does for want of a descriptor.
    @discardableResult
    public func connect(
        to address: String, options: StreamOptions = StreamOptions()
    ) throws(SluiceError) -> StreamID {
        try connect(to: Address(address), options: options)
    }

    /// Connects to an address that was made by its parts.
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

    /// Makes a stream of a descriptor: a connected socket, a pipe, a terminal, a file, or what else
    /// can be read from or written to. It is the loop's to close from then on, and made non-blocking
    /// until the stream ends. Where this throws it stays the caller's.
    ///
    /// Of a terminal or a pipe that others have open too, such as standard input, they see that it
    /// does not block. Where a signal kills the program, nobody is left to undo it, and the shell that
    /// started the program sees it too. There ``watch(_:for:userWord:)`` the descriptor, which changes
    /// nothing, and read when it is ready, as `sluice-echo client` does; or adopt an open file of your
    /// own: `FileDescriptor.open("/dev/tty", .readWrite)`.
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
