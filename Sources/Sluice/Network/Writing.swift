public import CSluice

/// What became of bytes that were written to a stream.
public enum WriteResult: Hashable, Sendable {
    /// They are queued, or sent already.
    case queued
    /// They are queued, and the stream is over its high mark now: wait for ``Event/drained(_:)``
    /// before writing more.
    case overHighMark
    /// They were not taken, because nothing more can be sent: the connection is broken, or
    /// ``EventLoop/finishSending(on:)`` or ``EventLoop/close(_:)`` was called before.
    /// ``Event/closed(_:_:)`` tells how the stream ended.
    case broken(SluiceError.Code)
}

/// What goes out. All writes made while one event is handled are sent together when the next is
/// pulled.
extension EventLoop {
    /// Queues the bytes to be sent, whole or not at all. Large ones are offered to the kernel at
    /// once, and only the rest is copied.
    ///
    /// - Returns: what became of them. Where the connection is broken that is said here and by
    ///   ``Event/closed(_:_:)``, and not thrown, so that one connection's end is not the program's.
    /// - Complexity: O(bytes).
    /// - Throws: ``SluiceError/Code/full`` over ``Options/hardLimit`` or ``Options/memoryLimit``,
    ///   ``SluiceError/Code/stale``, ``SluiceError/Code/outOfMemory``.
    @inlinable
    @discardableResult
    public func write(_ bytes: RawSpan, to stream: StreamID) throws(SluiceError) -> WriteResult {
        let code = unsafe bytes.withUnsafeBytes {
            unsafe sluice_write(handle, stream.rawValue, $0.baseAddress, $0.count)
        }
        return code == 0 ? .queued : try Self.notJustQueued(code, stream)
    }

    /// Queues the bytes to be sent, whole or not at all.
    @discardableResult
    public func write(_ bytes: Span<UInt8>, to stream: StreamID) throws(SluiceError) -> WriteResult
    {
        // Bytes of UInt8 have no padding, so that each of them is initialized.
        try write(unsafe bytes.bytes, to: stream)
    }

    /// Queues the bytes to be sent, whole or not at all.
    @discardableResult
    public func write(_ bytes: [UInt8], to stream: StreamID) throws(SluiceError) -> WriteResult {
        try write(bytes.span, to: stream)
    }

    /// Queues the text to be sent as UTF-8, whole or not at all.
    @discardableResult
    public func write(_ text: String, to stream: StreamID) throws(SluiceError) -> WriteResult {
        try write(text.utf8Span.span, to: stream)
    }

    /// Queues a head and a body to be sent, both whole or nothing at all.
    ///
    /// - Complexity: O(bytes).
    /// - Throws: as ``write(_:to:)``.
    @discardableResult
    public func write(
        _ head: RawSpan, then body: RawSpan, to stream: StreamID
    ) throws(SluiceError) -> WriteResult {
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
        return code == 0 ? .queued : try Self.notJustQueued(code, stream)
    }

    /// Out of line, so that a write that is queued pays a comparison and no more.
    @usableFromInline
    @inline(never)
    static func notJustQueued(_ code: CInt, _ stream: StreamID) throws(SluiceError) -> WriteResult {
        if code > 0 { return .overHighMark }
        let reason = SluiceError.Code(rawValue: code)
        if reason.saysBroken { return .broken(reason) }
        throw SluiceError(code, "write to", StreamID.kind, stream.rawValue)
    }

    /// Sends what is queued, as far as the kernel takes it, now and not at the next pull. Where the
    /// connection is broken nothing is sent, and ``Event/closed(_:_:)`` tells why.
    ///
    /// - Throws: ``SluiceError/Code/stale``, ``SluiceError/Code/full`` over ``Options/memoryLimit``,
    ///   ``SluiceError/Code/outOfMemory``.
    public func flush(_ stream: StreamID) throws(SluiceError) {
        try checkUnlessBroken(unsafe sluice_flush(handle, stream.rawValue), "flush", stream)
    }

    /// Sends what is queued, then says to the peer that no more comes (half-close). Receiving goes
    /// on. Where the connection is broken nothing is sent, and ``Event/closed(_:_:)`` tells why.
    ///
    /// - Throws: as ``flush(_:)``.
    public func finishSending(on stream: StreamID) throws(SluiceError) {
        try checkUnlessBroken(
            unsafe sluice_shutdown(handle, stream.rawValue), "finish sending on", stream)
    }

    /// What befalls one connection is told by its last event, and never thrown.
    private func checkUnlessBroken(
        _ code: CInt, _ operation: String, _ stream: StreamID
    ) throws(SluiceError) {
        if !SluiceError.Code(rawValue: code).saysBroken { try check(code, operation, stream) }
    }

    /// How many bytes are queued to be sent.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    public func pendingBytes(of stream: StreamID) throws(SluiceError) -> Int {
        let count = unsafe sluice_pending(handle, stream.rawValue)
        if count < 0 { try check(CInt(count), "count what is pending of", stream) }
        return Int(count)
    }
}

extension SluiceError.Code {
    /// Whether a call that sends says by this that the connection is broken: in the kernel's words.
    fileprivate var saysBroken: Bool { errno != nil && self != .outOfMemory }
}
