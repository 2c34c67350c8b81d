public import CSluice

/// A table with a state for each stream, by ``StreamID``. It forgets a stream by itself when the
/// stream's ``Event/closed(_:_:)`` has been handled.
///
/// ```swift
/// let names = PerStream<String>(in: loop)
/// …
/// case .accepted(let stream, _): names[stream] = "guest"
/// case .closed(let stream, _): print("\(names[stream]!) left")
/// ```
///
/// A stream's state is still there with the stream's last event, and is gone at the next pull. A
/// state that is set for a stream that has ended before that is not kept. States may be structs,
/// which are changed in place, or objects. A table belongs to the loop's thread. It may outlive the
/// loop, and is empty then.
///
/// - Complexity: O(1) for each stream, by the slot in its id. The table takes memory for the
///   largest number of streams that there were at once.
@safe
public final class PerStream<State>: StreamTable {
    /// For each slot: the stream that has it, and its state.
    @usableFromInline var slots: [(stream: StreamID, state: State)?] = []
    /// The stream whose last event is being handled, if a new stream has its slot already.
    @usableFromInline var ended: (stream: StreamID, state: State)?
    @usableFromInline var loop: UnsafeMutablePointer<EventLoop.Pulled>?
    /// How many streams have been forgotten because they have closed.
    @usableFromInline var forgotten = 0

    /// How many streams have a state.
    public var count: Int { counted }
    @usableFromInline var counted = 0

    /// An empty table of a loop's streams.
    public init(in loop: borrowing EventLoop) {
        unsafe self.loop = unsafe loop.pulled
        loop.add(self)
    }

    /// The state of a stream; `nil` if it has none. Setting `nil` forgets the stream.
    @inlinable
    public subscript(stream: StreamID) -> State? {
        get {
            if let slot = slot(of: stream) { return slots[slot]?.state }
            return ended?.stream == stream ? ended?.state : nil
        }
        _modify {
            // The state is out of the table meanwhile, so that an array in it is changed in place.
            let place = place(of: stream)
            var state = remove(stream)
            defer { put(state, stream, place) }
            yield &state
        }
    }

    /// The state of a stream; `initial` if it has none yet.
    @inlinable
    public subscript(
        stream: StreamID, default initial: @autoclosure () -> State
    ) -> State {
        get { self[stream] ?? initial() }
        _modify {
            let place = place(of: stream)
            var state = remove(stream) ?? initial()
            defer { put(state, stream, place) }
            yield &state
        }
    }

    /// Forgets a stream before it has ended, and returns its state.
    @inlinable
    @discardableResult
    public func remove(_ stream: StreamID) -> State? {
        if let slot = slot(of: stream) {
            counted -= 1
            return slots[slot].take()?.state
        }
        guard ended?.stream == stream else { return nil }
        counted -= 1
        return ended.take()?.state
    }

    @inlinable
    func slot(of stream: StreamID) -> Int? {
        let slot = stream.slot
        return slot < slots.count && slots[slot]?.stream == stream ? slot : nil
    }

    /// How many streams have been forgotten when a state is taken out; `nil` if there is no state.
    /// A stream that has a state has its last event yet to come, even if it was aborted. So if the
    /// number has not changed, the state can be put back.
    @inlinable
    func place(of stream: StreamID) -> Int? {
        slot(of: stream) != nil || ended?.stream == stream ? forgotten : nil
    }

    @inlinable
    func put(_ state: State?, _ stream: StreamID, _ place: Int?) {
        guard let state, let loop = unsafe loop,
            unsafe place == forgotten || loop.pointee.hasOrJustHad(stream)
        else { return }
        let slot = stream.slot
        require(
            self.slot(of: stream) == nil && ended?.stream != stream,
            "the state of a stream was set while it was being changed")
        if slot >= slots.count {
            slots.append(contentsOf: repeatElement(nil, count: slot + 1 - slots.count))
        }
        if let other = slots[slot]?.stream, other != stream {
            guard unsafe loop.pointee.has(stream) else {
                if ended == nil { counted += 1 }
                ended = (stream, state)
                return
            }
            ended = slots[slot].take()
        }
        if slots[slot] == nil { counted += 1 }
        slots[slot] = (stream, state)
    }

    func forget(_ stream: StreamID) {
        forgotten += 1
        remove(stream)
    }

    func loopHasEnded() {
        unsafe loop = nil
        counted = 0
        // A state that ends may look at the table.
        withExtendedLifetime((slots, ended)) {
            slots = []
            ended = nil
        }
    }
}

extension PerStream: Sequence {
    /// Gives each stream that has a state, with that state, as they were when the iteration began.
    public func makeIterator() -> some IteratorProtocol<(stream: StreamID, state: State)> {
        (ended == nil ? slots : slots + [ended]).lazy.compactMap { $0 }.makeIterator()
    }
}

/// A table that a loop tells of each stream whose last event has been handled.
protocol StreamTable: AnyObject {
    func forget(_ stream: StreamID)
    func loopHasEnded()
}

extension StreamID {
    /// A small number that no other live stream of the loop has.
    @inlinable
    var slot: Int { Int(rawValue & (1 << UInt64(SLUICE_SLOT_BITS.rawValue) - 1)) }
}
