internal import CSluice

/// What comes in, and when. Each call says by its result whether the stream was there.
extension EventLoop {
    /// Stops ``Event/data(_:_:)`` and ``Event/endOfStream(_:)`` of a stream. Pauses do not nest.
    ///
    /// - Complexity: O(1).
    @discardableResult
    public func pause(_ stream: StreamID) -> Bool {
        if unsafe pulled.pointee.resuming == stream.rawValue { unsafe pulled.pointee.resuming = 0 }
        return isDone(unsafe sluice_pause(handle, stream.rawValue), stream.rawValue)
    }

    /// Ends a pause. What is held, or what frames have left, comes as ``Event/data(_:_:)`` by the next
    /// turn, also where the peer sends nothing more: so who has no room for more answers pauses the
    /// stream in the middle of its requests, and has the rest of them at the resume. Fewer bytes than
    /// are waited for go on waiting. It changes nothing where there is no pause.
    ///
    /// - Complexity: O(1).
    @discardableResult
    public func resume(_ stream: StreamID) -> Bool {
        if unsafe pulled.pointee.rest.isFramed && pulled.pointee.event.id == stream.rawValue {
            // What its frames leave is not held before the next pull.
            unsafe pulled.pointee.resuming = stream.rawValue
            return isLive(stream)
        }
        return isDone(unsafe sluice_resume(handle, stream.rawValue), stream.rawValue)
    }

    /// Has the last `count` bytes of the ``Event/data(_:_:)`` pulled last come again, joined with
    /// what follows: framing without a buffer of one's own, for which there is also ``frames(of:in:by:)``.
    /// At the end of the stream they come once more, before ``Event/endOfStream(_:)``. Where they are
    /// over ``Options/hardLimit`` or ``Options/memoryLimit``, the stream ends, with
    /// ``SluiceError/Code/full``.
    ///
    /// - Parameter total: they do not come again before so many bytes are there together, those that
    ///   are held among them, or the stream has ended: for a frame whose length is known.
    /// - Complexity: O(`count`).
    /// - Throws: ``SluiceError/Code/noCapacity`` for more than the event had or less than none,
    ///   ``SluiceError/Code/wrongState`` where the last event is not this stream's data.
    @discardableResult
    public func hold(
        last count: Int, of stream: StreamID, until total: Int = 0
    ) throws(SluiceError) -> Bool {
        // Less than none is, to C, more than any event has.
        let code = unsafe sluice_hold_until(handle, stream.rawValue, count, max(0, total))
        if code == SLUICE_ECAPACITY.rawValue || code == SLUICE_ESTATE.rawValue {
            throw SluiceError(
                code, "hold the last \(count.bytes) of", .handle(.stream, stream.rawValue))
        }
        // What frames have left gives way to what is asked for.
        unsafe pulled.pointee.rest.isFramed = false
        if unsafe !pulled.pointee.searched.isEmpty {
            unsafe pulled.pointee.searched[stream.rawValue] = nil
        }
        return isDone(code, stream.rawValue)
    }

    /// Passes on what `source` receives to `destination`, without an event, and its end too: a
    /// proxy. What is held comes first. `source` is not read from while `destination` is over its
    /// high mark. When `destination` takes no more, `source` gives ``Event/data(_:_:)`` again, and
    /// its end where that had been passed on.
    ///
    /// - Returns: whether both were there and `destination` takes bytes.
    /// - Complexity: O(1) and the bytes that are held; no copy for what is passed on.
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
