/// A program, written as what it does with each event. It is a struct or a final class that has the
/// program's state. The loop is beside it, and is lent to it for each event.
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
/// The loop is not a part of the handler. An event that is being handled borrows the loop, and
/// nobody can change a borrowed value, or a value that contains it.
public protocol EventHandler: ~Copyable {
    /// Handles one event. It may do anything with the loop except pull from it.
    ///
    /// An error that it throws ends the run. What happens to one connection is no reason to throw:
    /// see ``Event/closed(_:_:)``.
    mutating func handle(_ event: Event, in loop: borrowing EventLoop) throws
}

extension EventLoop {
    /// Opens a loop, makes a handler, and hands it each event until ``stop()`` or
    /// ``Poster/wake()``. Then the loop ends: what is queued is offered to the kernel once more,
    /// and the files of unix sockets are removed.
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
    /// - Throws: what ``next(timeout:)`` and the handler throw.
    @inlinable
    public mutating func run<Handler: EventHandler & ~Copyable>(_ handler: inout Handler) throws {
        while try next() { try handler.handle(event, in: self) }
    }

    /// Pulls events until ``stop()`` or ``Poster/wake()``, and hands each to an object.
    ///
    /// - Throws: what ``next(timeout:)`` and the handler throw.
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
    /// - Throws: what ``next(timeout:)`` and the closure throw.
    @inlinable
    public mutating func run(
        _ handler: (Event, borrowing EventLoop) throws -> Void
    ) throws {
        while try next() { try handler(event, self) }
    }
}
