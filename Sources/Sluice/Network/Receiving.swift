internal import CSluice

/// Receiving, and when. The result of each call says whether the stream was there.
extension EventLoop {
    /// Stops ``Event/data(_:_:)`` and ``Event/endOfStream(_:)`` of a stream. Pauses do not nest.
    ///
    /// - Complexity: O(1).
    @discardableResult
    public func pause(_ stream: StreamID) -> Bool {
        if unsafe pulled.pointee.resuming == stream.rawValue { unsafe pulled.pointee.resuming = 0 }
        return isDone(unsafe sluice_pause(handle, stream.rawValue), stream.rawValue)
    }

    /// Ends a pause. What is held, and what frames have left, comes as ``Event/data(_:_:)`` by the
    /// next turn, even if the peer sends nothing more. So a program that has no room for more
    /// answers pauses a stream in the middle of its requests, and gets the rest of them after the
    /// resume. Fewer bytes than ``hold(last:of:until:)`` waits for go on waiting. If the stream is
    /// not paused, nothing changes.
    ///
    /// - Complexity: O(1).
    @discardableResult
    public func resume(_ stream: StreamID) -> Bool {
        if unsafe pulled.pointee.rest.isFramed && pulled.pointee.event.id == stream.rawValue {
            // What the stream's frames leave is held only at the next pull.
            unsafe pulled.pointee.resuming = stream.rawValue
            return isLive(stream)
        }
        return isDone(unsafe sluice_resume(handle, stream.rawValue), stream.rawValue)
    }

    /// Makes the last `count` bytes of the ``Event/data(_:_:)`` that was pulled last come again,
    /// joined with what follows. This is framing without a buffer of your own; see also
    /// ``frames(of:in:by:)``. At the end of the stream they come once more, before
    /// ``Event/endOfStream(_:)``. If they are over ``Options/hardLimit`` or
    /// ``Options/memoryLimit``, the stream ends with ``SluiceError/Code/full``.
    ///
    /// - Parameter total: the bytes do not come again before this many are there, counting those
    ///   that are held, or the stream has ended. It is for a frame whose length is known.
    /// - Complexity: O(`count`).
    /// - Throws: ``SluiceError/Code/noCapacity`` if `count` is more than the event had, or
    ///   negative; ``SluiceError/Code/wrongState`` if the last event is not this stream's data.
    @discardableResult
    public func hold(
        last count: Int, of stream: StreamID, until total: Int = 0
    ) throws(SluiceError) -> Bool {
        // To C, a negative count is more than any event has.
        let code = unsafe sluice_hold_until(handle, stream.rawValue, count, max(0, total))
        if code == SLUICE_ECAPACITY.rawValue || code == SLUICE_ESTATE.rawValue {
            throw SluiceError(
                code, "hold the last \(count.bytes) of", .handle(.stream, stream.rawValue))
        }
        // This replaces what frames would have held.
        unsafe pulled.pointee.rest.isFramed = false
        if unsafe !pulled.pointee.searched.isEmpty {
            unsafe pulled.pointee.searched[stream.rawValue] = nil
        }
        return isDone(code, stream.rawValue)
    }

    /// Passes on what `source` receives to `destination`, without an event, and also its end: a
    /// proxy. Bytes that are held go first. `source` is not read from while `destination` is over
    /// its high mark. When `destination` takes no more, `source` gives ``Event/data(_:_:)`` again,
    /// and its end if that had been passed on.
    ///
    /// - Returns: whether both were there and `destination` takes bytes.
    /// - Complexity: O(1), plus the bytes that are held. What is passed on is not copied.
    @discardableResult
    public func forward(from source: StreamID, to destination: StreamID) -> Bool {
        if unsafe pulled.pointee.event.id == source.rawValue { holdRest() }
        return isDone(
            unsafe sluice_forward(handle, source.rawValue, destination.rawValue), source.rawValue)
    }

    /// Ends what ``forward(from:to:)`` began.
    ///
    /// - Complexity: O(1).
    @discardableResult
    public func stopForwarding(from source: StreamID) -> Bool {
        isDone(unsafe sluice_forward(handle, source.rawValue, 0), source.rawValue)
    }
}
