public import CSluice

/// What a loop reports. An event cannot be kept past the next pull. The ids in it, such as a
/// ``StreamID``, can.
public enum Event: ~Escapable {
    /// No event: none has been pulled yet, or the time was up before one came.
    case nothing
    /// A watched descriptor is ready.
    case ready(WatchID, Readiness)
    /// A timer's time has come. A timer that does not repeat ends with this event.
    case timer(TimerID)
    /// A signal came.
    case signal(SignalID)
    /// A word that a ``EventLoop/Poster`` posted.
    case posted(UInt64)
    /// A listener accepted a connection.
    case accepted(StreamID, by: ListenerID)
    /// A connect has succeeded. One that fails gives ``closed(_:_:)`` instead.
    case connected(StreamID)
    /// A stream received bytes.
    case data(StreamID, Span<UInt8>)
    /// The peer will send no more. The stream then sends what is queued and closes, unless it was
    /// told to stay half-open.
    case endOfStream(StreamID)
    /// A stream's queue was over its high mark, and has fallen to its low mark.
    case drained(StreamID)
    /// A stream's last event: how it ended.
    case closed(StreamID, StreamEnding)
    /// The last event of a listener that ``EventLoop/drain(_:)`` has ended.
    case finished(ListenerID)
    /// A listener had to stop accepting, for the given reason. It resumes by itself.
    case overloaded(ListenerID, SluiceError.Code)
    /// A lookup has ended. It has found the addresses of a name, or the reason why there are none.
    case resolved(LookupID, LookupAnswer)
}

extension Event {
    /// The kinds of events, for counting them.
    public enum Kind: UInt32, CaseIterable, Hashable, Sendable {
        /// ``Event/nothing``
        case nothing
        /// ``Event/ready(_:_:)``
        case ready
        /// ``Event/timer(_:)``
        case timer
        /// ``Event/signal(_:)``
        case signal
        /// ``Event/posted(_:)``
        case posted
        /// ``Event/accepted(_:by:)``
        case accepted
        /// ``Event/connected(_:)``
        case connected
        /// ``Event/data(_:_:)``
        case data
        /// ``Event/endOfStream(_:)``
        case endOfStream
        /// ``Event/drained(_:)``
        case drained
        /// ``Event/closed(_:_:)`` and ``Event/finished(_:)``
        case closed
        /// ``Event/overloaded(_:_:)``
        case overloaded
        /// ``Event/resolved(_:_:)``
        case resolved
    }

    /// What kind of event it is.
    public var kind: Kind {
        switch self {
        case .nothing: .nothing
        case .ready: .ready
        case .timer: .timer
        case .signal: .signal
        case .posted: .posted
        case .accepted: .accepted
        case .connected: .connected
        case .data: .data
        case .endOfStream: .endOfStream
        case .drained: .drained
        case .closed, .finished: .closed
        case .overloaded: .overloaded
        case .resolved: .resolved
        }
    }

    /// The event in words, one line, such as "data of stream 4294967296: 64 bytes".
    public var description: String {
        switch self {
        case .nothing: "nothing"
        case .ready(let watch, let readiness): "ready \(watch): \(readiness)"
        case .timer(let timer): "\(timer)"
        case .signal(let signal): "\(signal)"
        case .posted(let word): "posted \(word)"
        case .accepted(let stream, let listener): "accepted \(stream) by \(listener)"
        case .connected(let stream): "connected \(stream)"
        case .data(let stream, let bytes): "data of \(stream): \(bytes.count.bytes)"
        case .endOfStream(let stream): "end of \(stream)"
        case .drained(let stream): "drained \(stream)"
        case .closed(let stream, let ending): "closed \(stream): \(ending)"
        case .finished(let listener): "finished \(listener)"
        case .overloaded(let listener, let code): "overloaded \(listener): \(code)"
        case .resolved(let lookup, let answer): "resolved \(lookup): \(answer.description)"
        }
    }
}

extension Event {
    /// Makes the event from C's. Its bytes live as long as C's: the caller binds their lifetime.
    @_lifetime(immortal)
    @inlinable
    @inline(__always)
    init(_ event: UnsafePointer<sluice_event>) {
        let event = unsafe event.pointee
        switch unsafe event.kind {
        case SLUICE_DATA.rawValue:
            // DATA has at least one byte, so the pointer is not nil.
            let bytes = unsafe Span(
                _unsafeStart: event.data!.assumingMemoryBound(to: UInt8.self),
                count: event.length)
            self = unsafe .data(
                StreamID(rawValue: event.id), _overrideLifetime(bytes, copying: ()))
        case SLUICE_READY.rawValue:
            self = unsafe .ready(
                WatchID(rawValue: event.id),
                Readiness(rawValue: UInt32(truncatingIfNeeded: event.value)))
        case SLUICE_TIMER.rawValue:
            self = unsafe .timer(TimerID(rawValue: event.id))
        case SLUICE_SIGNAL.rawValue:
            self = unsafe .signal(
                SignalID(rawValue: event.id, number: CInt(truncatingIfNeeded: event.value)))
        case SLUICE_POSTED.rawValue:
            self = unsafe .posted(event.value)
        case SLUICE_ACCEPTED.rawValue:
            self = unsafe .accepted(
                StreamID(rawValue: event.id), by: ListenerID(rawValue: event.value))
        case SLUICE_CONNECTED.rawValue:
            self = unsafe .connected(StreamID(rawValue: event.id))
        case SLUICE_EOF.rawValue:
            self = unsafe .endOfStream(StreamID(rawValue: event.id))
        case SLUICE_DRAINED.rawValue:
            self = unsafe .drained(StreamID(rawValue: event.id))
        case SLUICE_CLOSED.rawValue:
            guard unsafe HandleKind(of: event.id) == .stream else {
                self = unsafe .finished(ListenerID(rawValue: event.id))
                break
            }
            let error = unsafe event.error
            self = unsafe .closed(
                StreamID(rawValue: event.id),
                StreamEnding(
                    unsentBytes: event.length,
                    inputEnded: event.value == SLUICE_INPUT_ENDED,
                    error: error == 0 ? nil : SluiceError.Code(rawValue: error)))
        case SLUICE_OVERLOADED.rawValue:
            self = unsafe .overloaded(
                ListenerID(rawValue: event.id), SluiceError.Code(rawValue: event.error))
        case SLUICE_RESOLVED.rawValue:
            self = unsafe .resolved(LookupID(rawValue: event.id), LookupAnswer(event))
        default:
            self = .nothing
        }
    }
}
