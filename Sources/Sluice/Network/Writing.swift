public import CSluice

/// What became of bytes that were written to a stream.
public enum WriteResult: Hashable, Sendable {
    /// They are queued, or sent already.
    case queued
    /// They are queued, and the stream is over its high mark now: wait for ``Event/drained(_:)``
    /// before writing more.
    case aboveHighMark
    /// They were not taken, because there is no room: ``EventLoop/Options/hardLimit`` or
    /// ``EventLoop/Options/memoryLimit`` is reached, or the machine's memory is used up.
    /// ``EventLoop/write(_:to:)-(Span<UInt8>,_)`` has ended the stream with that reason.
    /// ``EventLoop/tryWrite(_:to:)-(Span<UInt8>,_)`` has changed nothing.
    case full
    /// They were not taken, because nothing more can be sent: the stream has ended, is ending, or
    /// is broken, or ``EventLoop/finishSending(on:)`` was called before. If the stream has not
    /// ended yet, ``Event/closed(_:_:)`` tells how it ends.
    case gone
}

/// Sending. All writes made while one event is handled are sent together when the next one is
/// pulled.
///
/// No write throws, because the end of one stream is not the end of the program. A stream that is
/// gone takes nothing. A stream that has no room for the bytes ends, with ``SluiceError/Code/full``
/// in its ``Event/closed(_:_:)``. The result says what happened. Look at it if you have more to
/// write: after ``WriteResult/aboveHighMark``, wait for ``Event/drained(_:)``.
extension EventLoop {
    /// Queues the bytes to be sent, whole or not at all. Many bytes are offered to the kernel at
    /// once, and only the rest of them is copied.
    ///
    /// - Complexity: O(bytes).
    @inlinable
    @discardableResult
    public func write(_ bytes: Span<UInt8>, to stream: StreamID) -> WriteResult {
        let code = send(bytes, stream)
        return code == 0 ? .queued : ended(notJustQueued(code), code, stream)
    }

    /// Queues the bytes to be sent, whole or not at all.
    @discardableResult
    public func write(_ bytes: [UInt8], to stream: StreamID) -> WriteResult {
        write(bytes.span, to: stream)
    }

    /// Queues the bytes to be sent, whole or not at all.
    @discardableResult
    public func write(_ bytes: ArraySlice<UInt8>, to stream: StreamID) -> WriteResult {
        write(bytes.span, to: stream)
    }

    /// Queues the text to be sent as UTF-8, whole or not at all.
    @discardableResult
    public func write(_ text: String, to stream: StreamID) -> WriteResult {
        write(text.utf8Span.span, to: stream)
    }

    /// Queues the text to be sent as UTF-8, whole or not at all.
    @discardableResult
    public func write(_ text: Substring, to stream: StreamID) -> WriteResult {
        write(text.utf8Span.span, to: stream)
    }

    /// Queues a head and a body to be sent, both of them or neither.
    ///
    /// - Complexity: O(bytes).
    @discardableResult
    public func write(
        _ head: Span<UInt8>, then body: Span<UInt8>, to stream: StreamID
    ) -> WriteResult {
        let code = sendTogether(head, body, stream)
        return code == 0 ? .queued : ended(notJustQueued(code), code, stream)
    }

    /// Queues all bytes of a byte queue to be sent, whole or not at all. The byte queue keeps them.
    ///
    /// - Complexity: O(bytes).
    @discardableResult
    public func write(_ queue: borrowing ByteQueue, to stream: StreamID) -> WriteResult {
        let code = unsafe queue.withSlices {
            unsafe sluice_writev(handle, stream.rawValue, $0.baseAddress, CInt($0.count))
        }
        return code == 0 ? .queued : ended(notJustQueued(code), code, stream)
    }

    /// Queues the bytes to be sent, whole or not at all. It is for a program that decides itself
    /// what happens if there is no room: the result is ``WriteResult/full`` then, and the stream
    /// goes on.
    ///
    /// - Complexity: O(bytes).
    public func tryWrite(_ bytes: Span<UInt8>, to stream: StreamID) -> WriteResult {
        let code = send(bytes, stream)
        return code == 0 ? .queued : notJustQueued(code)
    }

    /// Queues the bytes to be sent, whole or not at all. See ``tryWrite(_:to:)``.
    public func tryWrite(_ bytes: [UInt8], to stream: StreamID) -> WriteResult {
        tryWrite(bytes.span, to: stream)
    }

    /// Queues the text to be sent as UTF-8, whole or not at all. See ``tryWrite(_:to:)``.
    public func tryWrite(_ text: String, to stream: StreamID) -> WriteResult {
        tryWrite(text.utf8Span.span, to: stream)
    }

    @inlinable
    @inline(__always)
    func send(_ bytes: Span<UInt8>, _ stream: StreamID) -> CInt {
        unsafe bytes.withUnsafeBytes {
            unsafe sluice_write(handle, stream.rawValue, $0.baseAddress, $0.count)
        }
    }

    func sendTogether(_ head: Span<UInt8>, _ body: Span<UInt8>, _ stream: StreamID) -> CInt {
        unsafe head.withUnsafeBytes { head in
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
    }

    /// Out of line, so that a write that is queued pays only for a comparison.
    @usableFromInline
    @inline(never)
    func notJustQueued(_ code: CInt) -> WriteResult {
        if code > 0 { return .aboveHighMark }
        let code = SluiceError.Code(rawValue: code)
        Self.heedThread(code)
        return code.saysNoRoom ? .full : .gone
    }

    /// Ends a stream that had no room for the bytes to send.
    @usableFromInline
    @inline(never)
    func ended(_ result: WriteResult, _ code: CInt, _ stream: StreamID) -> WriteResult {
        if result == .full { _ = unsafe sluice_abort_with(handle, stream.rawValue, code) }
        return result
    }

    /// Sends what is queued now and not at the next pull, as far as the kernel takes it.
    ///
    /// - Returns: whether the stream was there and can send.
    @discardableResult
    public func flush(_ stream: StreamID) -> Bool {
        isDone(unsafe sluice_flush(handle, stream.rawValue), stream.rawValue)
    }

    /// Sends what is queued, then tells the peer that no more comes (half-close). Receiving goes
    /// on.
    ///
    /// - Returns: whether the stream was there and can send.
    @discardableResult
    public func finishSending(on stream: StreamID) -> Bool {
        isDone(unsafe sluice_shutdown(handle, stream.rawValue), stream.rawValue)
    }

    /// How many bytes are queued to be sent; 0 for a stream that is gone.
    ///
    /// - Complexity: O(1).
    public func pendingBytes(of stream: StreamID) -> Int {
        let count = unsafe sluice_pending(handle, stream.rawValue)
        return isDone(CInt(clamping: count), stream.rawValue) ? Int(count) : 0
    }
}
