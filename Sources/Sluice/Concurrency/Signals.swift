/// Signals, as they come.
///
/// ```swift
/// for await number in try Signals(SIGHUP, on: loop) { reload() }
/// ```
///
/// What comes while nobody asks for the next counts as one. While the sequence is there, what it
/// names does nothing else. A signal is in one such sequence at a time. It ends when its task is
/// cancelled. One task at a time may wait for the next.
public struct Signals: AsyncSequence, Sendable {
    /// A signal's number, such as `SIGHUP`.
    public typealias Element = CInt

    private let source: SignalSource

    /// Begins to listen for signals.
    ///
    /// - Throws: ``SluiceError/Code/alreadyRegistered`` for one that is in another sequence or ends a
    ///   server, or an errno where it cannot be caught.
    public init(_ numbers: CInt..., on loop: Loop) throws(SluiceError) {
        source = try SignalSource(numbers, on: loop)
    }

    /// Begins to wait.
    public func makeAsyncIterator() -> Iterator { Iterator(source: source) }

    /// Waits.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let source: SignalSource

        /// The next signal; `nil` where the task is cancelled.
        public mutating func next() async -> CInt? {
            await source.loop.nextSignal(source)
        }
    }
}

/// The signals of one sequence.
// Sendable: what changes is used on the loop's thread alone.
private final class SignalSource: @unchecked Sendable {
    let loop: Loop
    let waiter = Waiter()
    var pending: [CInt] = []
    private var watch: SignalWatch?

    init(_ numbers: [CInt], on loop: Loop) throws(SluiceError) {
        self.loop = loop
        let core = loop.core
        watch = try SignalWatch(numbers, core) { [weak self] number in
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
        // Who waits is something to do: the thread does not end before.
        unsafe core.living += 1
        defer { unsafe core.living -= 1 }
        while source.pending.isEmpty {
            if await core.parkCancellably(source.waiter) { return nil }
        }
        return source.pending.removeFirst()
    }
}
