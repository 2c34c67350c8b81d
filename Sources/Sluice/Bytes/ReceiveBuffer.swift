/// A buffer to receive into, made once and used for every receive.
///
/// ```swift
/// var buffer = ReceiveBuffer(capacity: 65_536)
/// if case .bytes = try connection.receive(into: &buffer) {
///     handle(buffer.bytes)
/// }
/// ```
@safe
public struct ReceiveBuffer: ~Copyable {
    let storage: UnsafeMutableBufferPointer<UInt8>
    var count = 0

    /// A buffer of `capacity` bytes, at least 1.
    public init(capacity: Int) {
        require(capacity >= 1, "a receive buffer of \(capacity) bytes; at least 1 is needed")
        unsafe storage = .allocate(capacity: capacity)
        unsafe storage.initialize(repeating: 0)
    }

    deinit {
        unsafe storage.deallocate()
    }

    /// The most bytes that one receive brings.
    public var capacity: Int {
        unsafe storage.count
    }

    /// What the last receive brought. It is empty before the first receive, and after one that
    /// brought nothing. The compiler makes sure that the span is not kept past the next receive.
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let received = unsafe Span(
                _unsafeElements: UnsafeBufferPointer(rebasing: storage[..<count]))
            return unsafe _overrideLifetime(received, borrowing: self)
        }
    }
}
