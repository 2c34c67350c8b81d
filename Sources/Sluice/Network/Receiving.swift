internal import CSluice

/// What comes in, and when.
extension EventLoop {
    /// Stops ``Event/data(_:_:)`` and ``Event/endOfStream(_:)`` of a stream. Pauses do not nest.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    public func pause(_ stream: StreamID) throws(SluiceError) {
        try check(unsafe sluice_pause(handle, stream.rawValue), "pause", stream)
    }

    /// Ends a pause.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    public func resume(_ stream: StreamID) throws(SluiceError) {
        try check(unsafe sluice_resume(handle, stream.rawValue), "resume", stream)
    }

    /// Has the last `count` bytes of the ``Event/data(_:_:)`` pulled last come again, joined with
    /// what follows: framing without a buffer of one's own. At the end of the stream they come once
    /// more, before ``Event/endOfStream(_:)``.
    ///
    /// - Complexity: O(`count`).
    /// - Throws: ``SluiceError/Code/noCapacity`` for more than the event had or less than none,
    ///   ``SluiceError/Code/full`` over ``Options/hardLimit`` or ``Options/memoryLimit``,
    ///   ``SluiceError/Code/wrongState`` where the last event is not this stream's data.
    public func hold(last count: Int, of stream: StreamID) throws(SluiceError) {
        // Less than none is, to C, more than any event has.
        try check(unsafe sluice_hold(handle, stream.rawValue, count), "hold bytes of", stream)
    }

    /// Passes on what `source` receives to `destination`, without an event, and its end too: a
    /// proxy. What is held comes first. `source` is not read from while `destination` is over its
    /// high mark. When `destination` takes no more, `source` gives ``Event/data(_:_:)`` again, and
    /// its end where that had been passed on.
    ///
    /// - Complexity: O(1) and the bytes that are held; no copy for what is passed on.
    /// - Throws: ``SluiceError/Code/stale``, the errno `brokenPipe` where `destination` takes no
    ///   more, ``SluiceError/Code/outOfMemory``, and what a write of the held bytes throws.
    public func forward(from source: StreamID, to destination: StreamID) throws(SluiceError) {
        try check(
            unsafe sluice_forward(handle, source.rawValue, destination.rawValue), "forward from",
            source)
    }

    /// Ends what ``forward(from:to:)`` began.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/stale``.
    public func stopForwarding(from source: StreamID) throws(SluiceError) {
        try check(
            unsafe sluice_forward(handle, source.rawValue, 0), "stop forwarding from", source)
    }
}
