internal import CSluice
public import SystemPackage

/// The id of a listener of a loop. Its connections come as ``Event/accepted(_:by:)``.
public struct ListenerID: Handle {
    /// ``HandleKind/listener``
    public static var kind: HandleKind { .listener }

    /// The id's number in the C interface.
    public let rawValue: UInt64

    /// The id that has this number in the C interface.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

/// How a listener and its streams behave.
public struct ListenerOptions: Hashable, Sendable {
    /// How many callers may wait to be accepted; at least 1.
    public var backlog: Int
    /// How many callers are accepted in one turn of the loop; at least 1. It is rounded down to a
    /// power of two.
    public var acceptBatch: Int
    /// How many of its connections may be open at once; at least 1. At this number accepting stops
    /// until one closes. `nil` is no limit.
    public var connectionLimit: Int?
    /// Whether several loops may listen at one address. The kernel spreads the callers over them.
    public var reusesPort: Bool
    /// Whether an IPv6 socket, and also `*`, takes no IPv4 callers.
    public var onlyIPv6: Bool
    /// Who may connect at a unix socket's path, whatever the umask. `nil` leaves that to the umask.
    public var unixMode: FilePermissions?
    /// How its connections behave.
    public var streams: StreamOptions

    /// All options at their defaults, except those that are given.
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
    /// Calls `body` with the options in C's form.
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
    /// Listens at an address, or at a name such as "localhost:9999": see ``Address``. Looking a
    /// name up may block for seconds: do that before the loop has work. The file of a unix socket
    /// at which nobody listens is replaced. The file is removed when the listener ends.
    ///
    /// - Throws: ``SluiceError/Code/badAddress`` or another code of a wrong address,
    ///   ``SluiceError/Code/unknownName``, ``SluiceError/Code/badOption``, or an errno such as
    ///   `addressInUse`.
    @discardableResult
    public func listen(
        on address: String, options: ListenerOptions = ListenerOptions()
    ) throws(SluiceError) -> ListenerID {
        try listen(on: Address(address), options: options)
    }

    /// Listens at an address that was made from its parts.
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
    /// activation), or one that another version of the server hands over. It belongs to the loop
    /// from then on, which closes it. It is made non-blocking for good. If this throws, the socket
    /// stays the caller's. Options that say how to begin to listen have no effect.
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

    /// Lets no more callers in, accepts those who already wait, then ends the listener with
    /// ``Event/finished(_:)``. Its streams live on.
    ///
    /// - Returns: whether the listener was there.
    /// - Throws: an errno if the socket cannot be told to do so. The listener goes on then.
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

    /// The address of this end of a stream. `nil` if the stream has ended, is broken, or has no
    /// address.
    public func localAddress(of stream: StreamID) -> Address? {
        unsafe knownAddress(of: stream, sluice_local_address)
    }

    /// The address of the other end of a stream. `nil` if the stream has ended, is broken, or has
    /// no address: a caller may be gone before you ask.
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
