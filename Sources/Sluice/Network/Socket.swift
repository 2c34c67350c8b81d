internal import CSluice
public import SystemPackage

/// Non-blocking stream sockets by textual address. ``Address`` lists the forms. SIGPIPE is never
/// raised.
extension FileDescriptor {
    /// A listening socket. The caller owns it, and removes the file of a unix socket before closing
    /// it. Looking a name up may block for seconds.
    ///
    /// - Throws: ``SluiceError/Code/badAddress`` or another code of a wrong address,
    ///   ``SluiceError/Code/unknownName``, or an errno such as `addressInUse`.
    public static func listen(on address: String, backlog: Int = 128) throws(SluiceError) -> Self {
        try Address(address).check("listen on")
        let fd = unsafe address.withCString {
            unsafe sluice_socket_listen($0, CInt(clamping: backlog))
        }
        guard fd >= 0 else { throw SluiceError(fd, "listen on", .text(address)) }
        return Self(rawValue: fd)
    }

    /// A socket that is connecting or connected. Wait for ``Interest/write``, then call
    /// ``finishConnecting()``. The caller owns it. No name is looked up:
    /// ``EventLoop/connect(to:options:)`` does that.
    ///
    /// - Throws: ``SluiceError/Code/badAddress`` or another code of a wrong address,
    ///   ``SluiceError/Code/notNumeric``, or an errno that shows at once.
    public static func connect(to address: String) throws(SluiceError) -> Self {
        try Address(address).check("connect to")
        let fd = unsafe address.withCString { unsafe sluice_socket_connect($0) }
        guard fd >= 0 else { throw SluiceError(fd, "connect to", .text(address)) }
        return Self(rawValue: fd)
    }

    /// Checks how a connect ended, once the socket is writable.
    ///
    /// - Throws: why the connect failed, such as `connectionRefused`.
    public func finishConnecting() throws(SluiceError) {
        let code = sluice_socket_error(rawValue)
        guard code >= 0 else { throw SluiceError(code, "connect", .descriptor(self)) }
    }

    /// Accepts the next pending connection. `nil` if none is pending. The socket is yours to close.
    /// A connection that has failed while it was pending is passed over.
    ///
    /// - Throws: an errno such as `tooManyOpenFiles`; the connection then stays pending.
    public func accept() throws(SluiceError) -> FileDescriptor? {
        let fd = sluice_socket_accept(rawValue)
        if fd == SLUICE_EAGAIN.rawValue { return nil }
        guard fd >= 0 else { throw SluiceError(fd, "accept on", .descriptor(self)) }
        return FileDescriptor(rawValue: fd)
    }

    /// What a receive found.
    public enum Received: Hashable, Sendable {
        /// This many bytes, at least one. They are in the buffer.
        case bytes(Int)
        /// The other side will send no more.
        case endOfStream
        /// Nothing yet.
        case wouldBlock
    }

    /// Receives what is there, up to the buffer's capacity. Works on any descriptor.
    ///
    /// - Throws: an errno such as `connectionReset`.
    public func receive(into buffer: inout ReceiveBuffer) throws(SluiceError) -> Received {
        buffer.count = 0
        let count = unsafe sluice_socket_receive(
            rawValue, buffer.storage.baseAddress, buffer.storage.count)
        if count == Int(SLUICE_EAGAIN.rawValue) { return .wouldBlock }
        guard count >= 0 else { throw SluiceError(CInt(count), "receive from", .descriptor(self)) }
        buffer.count = count
        return count == 0 ? .endOfStream : .bytes(count)
    }

    /// Sends as many of the bytes as fit.
    ///
    /// - Returns: how many bytes were sent. 0 if none fits now: wait for ``Interest/write``.
    /// - Throws: an errno such as `brokenPipe` or `connectionReset`.
    public func send(_ bytes: Span<UInt8>) throws(SluiceError) -> Int {
        let count = unsafe bytes.withUnsafeBytes {
            unsafe sluice_socket_send(rawValue, $0.baseAddress, $0.count)
        }
        if count == Int(SLUICE_EAGAIN.rawValue) { return 0 }
        guard count >= 0 else { throw SluiceError(CInt(count), "send to", .descriptor(self)) }
        return count
    }

    /// Sends as many of the bytes as fit, and says how many those are.
    public func send(_ bytes: [UInt8]) throws(SluiceError) -> Int {
        try send(bytes.span)
    }

    /// Tells the peer that no more will be sent, and goes on receiving (half-close).
    public func finishSending() throws(SluiceError) {
        let code = sluice_socket_finish_sending(rawValue)
        guard code >= 0 else { throw SluiceError(code, "finish sending to", .descriptor(self)) }
    }

    /// This end's address.
    public func localAddress() throws(SluiceError) -> String {
        try unsafe address(sluice_socket_local_address, "find local address of")
    }

    /// The other end's address.
    public func peerAddress() throws(SluiceError) -> String {
        try unsafe address(sluice_socket_peer_address, "find peer address of")
    }

    private func address(
        _ format: (CInt, UnsafeMutablePointer<CChar>?, Int) -> CInt, _ operation: String
    ) throws(SluiceError) -> String {
        var text = [CChar](repeating: 0, count: Int(SLUICE_ADDRESS_MAX))
        let length = unsafe text.withUnsafeMutableBufferPointer {
            unsafe format(rawValue, $0.baseAddress, $0.count)
        }
        guard length >= 0 else { throw SluiceError(length, operation, .descriptor(self)) }
        return String(decoding: text[..<Int(length)].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
