public import CSluice

/// What goes out. All writes made while one event is handled are sent together when the next is
/// pulled.
extension EventLoop {
    /// Queues the bytes to be sent, whole or not at all. Large ones are offered to the kernel at
    /// once, and only the rest is copied.
    ///
    /// - Complexity: O(bytes).
    /// - Throws: ``SluiceError/Code/full`` over ``Options/hardLimit`` or ``Options/memoryLimit``,
    ///   the errno `brokenPipe` after ``finishSending(on:)`` or ``close(_:)``,
    ///   ``SluiceError/Code/stale``, ``SluiceError/Code/outOfMemory``.
    @inlinable
    public func write(_ bytes: RawSpan, to stream: Stream) throws(SluiceError) {
        let code = unsafe bytes.withUnsafeBytes {
            unsafe sluice_write(handle, stream.rawValue, $0.baseAddress, $0.count)
        }
        try check(code, "write to", stream)
    }

    /// Queues the bytes to be sent, whole or not at all.
    public func write(_ bytes: Span<UInt8>, to stream: Stream) throws(SluiceError) {
        // Bytes of UInt8 have no padding, so that each of them is initialized.
        try write(unsafe bytes.bytes, to: stream)
    }

    /// Queues the bytes to be sent, whole or not at all.
    public func write(_ bytes: [UInt8], to stream: Stream) throws(SluiceError) {
        try write(bytes.span, to: stream)
    }

    /// Queues the text to be sent as UTF-8, whole or not at all.
    public func write(_ text: String, to stream: Stream) throws(SluiceError) {
        try write(text.utf8Span.span, to: stream)
    }

    /// Queues a head and a body to be sent, both whole or nothing at all.
    ///
    /// - Complexity: O(bytes).
    /// - Throws: as ``write(_:to:)``.
    public func write(
        _ head: RawSpan, then body: RawSpan, to stream: Stream
    ) throws(SluiceError) {
        let code = unsafe head.withUnsafeBytes { head in
            unsafe body.withUnsafeBytes { body in
                let slices: InlineArray<2, sluice_slice> = unsafe [
                    sluice_slice(bytes: head.baseAddress, length: head.count),
                    sluice_slice(bytes: body.baseAddress, length: body.count),
                ]
                return unsafe slices.span.withUnsafeBufferPointer {
                    unsafe sluice_writev(handle, stream.rawValue, $0.baseAddress, 2)
                }
            }
        }
        try check(code, "write to", stream)
    }

    /// Sends what is queued, as far as the kernel takes it, now and not at the next pull.
    ///
    /// - Throws: ``SluiceError/Code/stale``.
    public func flush(_ stream: Stream) throws(SluiceError) {
        try check(unsafe sluice_flush(handle, stream.rawValue), "flush", stream)
    }

    /// Sends what is queued, then says to the peer that no more comes (half-close). Receiving goes
    /// on.
    ///
    /// - Throws: ``SluiceError/Code/stale``.
    public func finishSending(on stream: Stream) throws(SluiceError) {
        try check(unsafe sluice_shutdown(handle, stream.rawValue), "finish sending on", stream)
    }

    /// How many bytes are queued to be sent.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    public func pendingBytes(of stream: Stream) throws(SluiceError) -> Int {
        let count = unsafe sluice_pending(handle, stream.rawValue)
        if count < 0 { try check(CInt(count), "count what is pending of", stream) }
        return Int(count)
    }
}
