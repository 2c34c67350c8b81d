/// A program as what it does with each event: a struct or a final class with its state, beside the
/// loop that is lent to it.
///
/// ```swift
/// struct Echo: EventHandler {
///     var bytes = 0
///
///     mutating func handle(_ event: Event, in loop: borrowing EventLoop) {
///         guard case .data(let stream, let received) = event else { return }
///         bytes += received.count
///         loop.write(received, to: stream)
///     }
/// }
///
/// try EventLoop.run { loop in
///     try loop.listen(on: "localhost:9999")
///     return Echo()
/// }
/// ```
///
/// The loop is not within the handler: an event that is in hand borrows the loop, and what is
/// borrowed cannot be changed, nor can anything that it is a part of.
public protocol EventHandler: ~Copyable {
    /// Deals with one event. Anything may be done with the loop but to pull from it.
    ///
    /// What it throws ends the run. What befalls one connection is no reason to: see
    /// ``Event/closed(_:_:)``.
    mutating func handle(_ event: Event, in loop: borrowing EventLoop) throws
}

extension EventLoop {
    /// Opens a loop, makes a handler, and hands it each event until ``stop()`` or
    /// ``Poster/wake()``. Then the loop ends: what is queued is offered to the kernel once more, and
    /// the files of unix sockets go.
    ///
    /// - Parameter begin: listens or connects, and makes the handler.
    /// - Throws: what ``init(_:options:)``, `begin`, ``next(timeout:)`` and the handler throw.
    public static func run<Handler: EventHandler & ~Copyable>(
        _ backend: Backend? = nil, options: Options = Options(),
        _ begin: (borrowing EventLoop) throws -> Handler
    ) throws {
        var loop = try EventLoop(backend, options: options)
        var handler = try begin(loop)
        try loop.run(&handler)
    }

    /// Pulls events until ``stop()`` or ``Poster/wake()``, and hands each to `handler`.
    ///
    /// - Throws: what ``next(timeout:)`` throws, and what the handler does.
    @inlinable
    public mutating func run<Handler: EventHandler & ~Copyable>(_ handler: inout Handler) throws {
        while try next() { try handler.handle(event, in: self) }
    }

    /// Pulls events until ``stop()`` or ``Poster/wake()``, and hands each to an object.
    ///
    /// - Throws: what ``next(timeout:)`` throws, and what the handler does.
    @inlinable
    public mutating func run<Handler: EventHandler & AnyObject>(_ handler: Handler) throws {
        var handler = handler
        try run(&handler)
    }

    /// Pulls events until ``stop()`` or ``Poster/wake()``, and hands each to a closure.
    ///
    /// ```swift
    /// try loop.run { event, loop in
    ///     if case .data(let stream, let bytes) = event { loop.write(bytes, to: stream) }
    /// }
    /// ```
    ///
    /// - Throws: what ``next(timeout:)`` throws, and what the closure does.
    @inlinable
    public mutating func run(
        _ handler: (Event, borrowing EventLoop) throws -> Void
    ) throws {
        while try next() { try handler(event, self) }
    }
}
