internal import CSluice
public import SystemPackage

/// Names a listener of a loop. Its connections come as ``Event/accepted(_:by:)``.
public struct ListenerID: Handle {
    /// ``HandleKind/listener``
    public static var kind: HandleKind { .listener }

    /// The name as the C interface has it.
    public let rawValue: UInt64

    /// The name that the C interface has so.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

/// How a listener behaves, and its streams.
public struct ListenerOptions: Hashable, Sendable {
    /// How many callers may wait to be accepted; at least 1.
    public var backlog: Int
    /// How many are accepted in one turn of the loop; at least 1. Rounded down to a power of two.
    public var acceptBatch: Int
    /// How many of its connections may be open at once, at least 1; over that, accepting stops
    /// until one closes. No limit for `nil`.
    public var connectionLimit: Int?
    /// Whether several loops listen at one address, and the kernel spreads callers over them.
    public var reusesPort: Bool
    /// Whether an IPv6 socket takes no IPv4 callers, nor does `*`.
    public var onlyIPv6: Bool
    /// Who may call at a unix socket's path, whatever the umask; as the umask says for `nil`.
    public var unixMode: FilePermissions?
    /// How its connections behave.
    public var streams: StreamOptions

    /// The defaults, but where told.
    public init(
        backlog: Int = 1024,
        acceptBatch: Int = 64,
        connectionLimit: Int? = nil,
        reusesPort: Bool = false,
        onlyIPv6: Bool = false,
        unixMode: FilePermissions? = nil,
        streams: StreamOptions = StreamOptions()
    ) {
        self.backlog = backlog
        self.acceptBatch = acceptBatch
        self.connectionLimit = connectionLimit
        self.reusesPort = reusesPort
        self.onlyIPv6 = onlyIPv6
        self.unixMode = unixMode
        self.streams = streams
    }
}

extension ListenerOptions {
    /// Hands `body` the options as C takes them.
    func withC(
        _ body: (UnsafePointer<sluice_listen_options>) -> CInt
    ) throws(SluiceError) -> CInt {
        var options = unsafe sluice_listen_options()
        unsafe options.size = MemoryLayout<sluice_listen_options>.size
        if reusesPort { unsafe options.flags |= SLUICE_REUSE_PORT.rawValue }
        if onlyIPv6 { unsafe options.flags |= SLUICE_ONLY_IPV6.rawValue }
        unsafe options.backlog = try positive(backlog, "backlog")
        unsafe options.accept_batch = try positive(acceptBatch, "acceptBatch")
        unsafe options.connection_limit = try positive(connectionLimit, "connectionLimit")
        unsafe options.unix_mode = try positive(unixMode.map { Int($0.rawValue) }, "unixMode")
        return try unsafe streams.withC {
            unsafe options.streams = unsafe $0
            return unsafe body(&options)
        }
    }
}

extension EventLoop {
    /// Listens at an address, or at a name such as "localhost:9999": see ``Address``. To look a name
    /// up may block for seconds: do that before the loop has work. The file of a unix socket that
    /// nobody listens at is replaced, and goes when the listener does.
    ///
    /// - Throws: ``SluiceError/Code/badAddress`` and its like, ``SluiceError/Code/unknownName``,
    ///   ``SluiceError/Code/badOption``, or an errno such as `addressInUse`.
    @discardableResult
    public func listen(
        on address: String, options: ListenerOptions = ListenerOptions()
    ) throws(SluiceError) -> ListenerID {
        try listen(on: Address(address), options: options)
    }

    /// Listens at an address that was made by its parts.
    @discardableResult
    public func listen(
        on address: Address, options: ListenerOptions = ListenerOptions()
    ) throws(SluiceError) -> ListenerID {
        try address.check("listen on")
        var id: UInt64 = 0
        let code = try unsafe options.withC { options in
            unsafe sluice_listen(handle, &id, address.text, options)
        }
        try check(code, "listen on", .text(address.text))
        return ListenerID(rawValue: id)
    }

    /// Makes a listener of a stream socket that listens already: one of `LISTEN_FDS` (socket
    /// activation), or one that another version of the server hands over. It is the loop's to close
    /// from then on, and made non-blocking for good. Where this throws it stays the caller's. Of
    /// `options`, those have no effect that say how to begin to listen.
    ///
    /// - Throws: ``SluiceError/Code/notListening``, ``SluiceError/Code/badDescriptor``,
    ///   ``SluiceError/Code/alreadyRegistered``, ``SluiceError/Code/badOption``, or an errno such as
    ///   `notSocket`.
    @discardableResult
    public func listen(
        adopting descriptor: FileDescriptor, options: ListenerOptions = ListenerOptions()
    ) throws(SluiceError) -> ListenerID {
        var id: UInt64 = 0
        let code = try unsafe options.withC { options in
            unsafe sluice_listen_fd(handle, &id, descriptor.rawValue, options)
        }
        try check(code, "listen on", .descriptor(descriptor))
        return ListenerID(rawValue: id)
    }

    /// Lets no more callers in, accepts those who wait by now, then ends the listener with
    /// ``Event/finished(_:)``. Its streams live on.
    ///
    /// - Returns: whether the listener was there.
    /// - Throws: an errno where the socket cannot be told so; the listener goes on then.
    @discardableResult
    public func drain(_ listener: ListenerID) throws(SluiceError) -> Bool {
        let code = unsafe sluice_shutdown(handle, listener.rawValue)
        if code == SLUICE_ESTALE.rawValue { return false }
        try check(code, "drain", .handle(.listener, listener.rawValue))
        return true
    }

    /// Where a listener listens.
    ///
    /// - Throws: ``SluiceError/Code/stale``, or an errno.
    public func localAddress(of listener: ListenerID) throws(SluiceError) -> Address {
        let (address, code) = unsafe address(of: listener.rawValue, sluice_local_address)
        guard let address else {
            throw refusal(code, "find address of", .handle(.listener, listener.rawValue))
        }
        return address
    }

    /// This end of a stream; `nil` where it has ended, is broken, or has no address.
    public func localAddress(of stream: StreamID) -> Address? {
        unsafe knownAddress(of: stream, sluice_local_address)
    }

    /// The other end of a stream; `nil` where it has ended, is broken, or has no address: a caller
    /// may be gone again before anybody asks.
    public func peerAddress(of stream: StreamID) -> Address? {
        unsafe knownAddress(of: stream, sluice_peer_address)
    }

    private typealias Formatter = (OpaquePointer?, sluice_id, UnsafeMutablePointer<CChar>?, Int) ->
        CInt

    private func knownAddress(of stream: StreamID, _ format: Formatter) -> Address? {
        let (address, code) = unsafe address(of: stream.rawValue, format)
        Self.heedThread(SluiceError.Code(rawValue: code))
        return address
    }

    private func address(of id: UInt64, _ format: Formatter) -> (Address?, CInt) {
        var text = [CChar](repeating: 0, count: Int(SLUICE_ADDRESS_MAX))
        let length = unsafe text.withUnsafeMutableBufferPointer {
            unsafe format(handle, id, $0.baseAddress, $0.count)
        }
        guard length >= 0 else { return (nil, length) }
        let bytes = text[..<Int(length)].map(UInt8.init(bitPattern:))
        return (Address(String(decoding: bytes, as: UTF8.self)), 0)
    }
}
