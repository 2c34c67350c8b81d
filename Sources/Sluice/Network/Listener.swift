internal import CSluice

/// Names a listener of a loop. Its connections come as ``Event/accepted(_:by:)``.
public struct Listener: Handle {
    /// ``HandleKind/listener``
    public static var kind: HandleKind { .listener }

    /// The name as the C interface has it.
    public let rawValue: UInt64

    /// The name that the C interface has so.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// How a listener behaves, and its streams.
    public struct Options: Hashable, Sendable {
        /// How many callers may wait to be accepted; at least 1.
        public var backlog: Int
        /// How many are accepted in one turn of the loop; at least 1. Rounded down to a power of two.
        public var acceptBatch: Int
        /// How many of its connections may be open at once, at least 1; over that, accepting stops
        /// until one closes. No limit for `nil`.
        public var connectionLimit: Int?
        /// Whether several loops listen at one address, and the kernel spreads callers over them.
        public var reusesPort: Bool
        /// How its connections behave.
        public var streams: Stream.Options

        /// The defaults, but where told.
        public init(
            backlog: Int = 1024,
            acceptBatch: Int = 64,
            connectionLimit: Int? = nil,
            reusesPort: Bool = false,
            streams: Stream.Options = Stream.Options()
        ) {
            self.backlog = backlog
            self.acceptBatch = acceptBatch
            self.connectionLimit = connectionLimit
            self.reusesPort = reusesPort
            self.streams = streams
        }
    }
}

extension EventLoop {
    /// Listens at an address. The file of a unix socket that nobody listens at is replaced, and
    /// goes when the listener does.
    ///
    /// - Throws: ``SluiceError/Code/badAddress`` and its like, ``SluiceError/Code/unknownName``,
    ///   ``SluiceError/Code/badOption``, or an errno such as `addressInUse`.
    @discardableResult
    public func listen(
        on address: Address, options: Listener.Options = Listener.Options()
    ) throws(SluiceError) -> Listener {
        var id: UInt64 = 0
        var streams = try options.streams.c
        var listening = unsafe sluice_listen_options()
        unsafe listening.size = MemoryLayout<sluice_listen_options>.size
        unsafe listening.flags = options.reusesPort ? SLUICE_REUSE_PORT.rawValue : 0
        unsafe listening.backlog = try positive(options.backlog, "backlog")
        unsafe listening.accept_batch = try positive(options.acceptBatch, "acceptBatch")
        unsafe listening.connection_limit = try positive(
            options.connectionLimit, "connectionLimit")
        let code = unsafe withUnsafePointer(to: &streams) { streams in
            unsafe listening.streams = unsafe streams
            return unsafe sluice_listen(handle, &id, address.text, &listening)
        }
        guard code >= 0 else { throw SluiceError(code, "listen on", address.text) }
        return Listener(rawValue: id)
    }

    /// Where a listener listens, or this end of a stream.
    ///
    /// - Throws: ``SluiceError/Code/stale``, ``SluiceError/Code/wrongKind``, or an errno such as
    ///   `notSocket`.
    public func localAddress(of handle: some Handle) throws(SluiceError) -> Address {
        try unsafe address(of: handle, sluice_local_address, "find local address of")
    }

    /// The other end of a stream.
    ///
    /// - Throws: ``SluiceError/Code/stale``, ``SluiceError/Code/wrongKind``, or an errno such as
    ///   `socketNotConnected`.
    public func peerAddress(of stream: Stream) throws(SluiceError) -> Address {
        try unsafe address(of: stream, sluice_peer_address, "find peer address of")
    }

    private func address(
        of handle: some Handle,
        _ format: (OpaquePointer?, sluice_id, UnsafeMutablePointer<CChar>?, Int) -> CInt,
        _ operation: String
    ) throws(SluiceError) -> Address {
        var text = [CChar](repeating: 0, count: Int(SLUICE_ADDRESS_MAX))
        let length = unsafe text.withUnsafeMutableBufferPointer {
            unsafe format(self.handle, handle.rawValue, $0.baseAddress, $0.count)
        }
        try check(length, operation, handle)
        return Address(
            String(decoding: text[..<Int(length)].map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
}
