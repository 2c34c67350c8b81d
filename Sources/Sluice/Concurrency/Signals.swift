/// Signals, as they come.
///
/// ```swift
/// for await number in try Signals(SIGHUP, on: loop) { reload() }
/// ```
///
/// Several signals of one kind count as one if they come while nobody waits for the next. As long
/// as the sequence exists, the signals it names have no other effect. A signal is in only one such
/// sequence at a time. The sequence ends when its task is cancelled. One task at a time may wait
/// for the next signal.
public struct Signals: AsyncSequence, Sendable {
    /// A signal's number, such as `SIGHUP`.
    public typealias Element = CInt

    private let source: SignalSource

    /// Begins to listen for signals.
    ///
    /// - Throws: ``SluiceError/Code/alreadyRegistered`` for a signal that is in another sequence or
    ///   ends a server, or an errno for a signal that cannot be caught.
    public init(_ numbers: CInt..., on loop: Loop) throws(SluiceError) {
        source = try SignalSource(numbers, on: loop)
    }

    /// Begins to wait.
    public func makeAsyncIterator() -> Iterator { Iterator(source: source) }

    /// Waits.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let source: SignalSource

        /// The next signal; `nil` if the task is cancelled.
        public mutating func next() async -> CInt? {
            await source.loop.nextSignal(source)
        }
    }
}

/// The signals of one sequence.
// Sendable: all that changes is used only on the loop's thread.
private final class SignalSource: @unchecked Sendable {
    let loop: Loop
    let waiter = Waiter()
    var pending: [CInt] = []
    private var watch: SignalWatch?

    init(_ numbers: [CInt], on loop: Loop) throws(SluiceError) {
        self.loop = loop
        let core = loop.core
        watch = try SignalWatch(numbers, core)
        watch?.begin { [weak self] number in
            guard let self else { return }
            if !pending.contains(number) { pending.append(number) }
            waiter.wake(core)
        }
    }

    deinit {
        watch?.end()
    }
}

extension Loop {
    fileprivate func nextSignal(_ source: SignalSource) async -> CInt? {
        // A waiting task is something to do: the thread does not end before it.
        unsafe core.living += 1
        defer { unsafe core.living -= 1 }
        while source.pending.isEmpty {
            if await core.parkCancellably(source.waiter) { return nil }
        }
        return source.pending.removeFirst()
    }
}
