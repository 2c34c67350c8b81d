internal import CSluice

extension EventLoop {
    /// The options of a loop. Sizes are in bytes, and every number is at least 1.
    public struct Options: Hashable, Sendable {
        /// The most bytes that one receive brings: the size of the loop's one receive buffer.
        public var receiveSize: Int
        /// If a stream has more queued bytes than this, wait for ``Event/drained(_:)``. Meanwhile
        /// the stream is not read from, if ``StreamOptions/isThrottled`` says so.
        public var highMark: Int
        /// ``Event/drained(_:)`` comes when a stream has this many queued bytes left. `nil` is a
        /// quarter of the high mark.
        public var lowMark: Int?
        /// A write is refused if its stream would have more queued bytes than this.
        public var hardLimit: Int
        /// The most bytes that the queues and the held bytes of all streams take together. `nil` is
        /// no limit.
        public var memoryLimit: Int?
        /// How many posts may wait to be pulled.
        public var postLimit: Int
        /// How many handles of each kind there may be.
        public var handleLimit: Int
        /// Whether a signal ends a wait, with ``SluiceError/Code/interrupted``, after its handler
        /// has run. Only if the backend has ``Features/interruptible``.
        public var isInterruptible: Bool

        /// All options at their defaults, except those that are given.
        public init(
            receiveSize: Int = 64 << 10,
            highMark: Int = 1 << 20,
            lowMark: Int? = nil,
            hardLimit: Int = 64 << 20,
            memoryLimit: Int? = nil,
            postLimit: Int = 1 << 20,
            handleLimit: Int = 1 << 24,
            isInterruptible: Bool = false
        ) {
            self.receiveSize = receiveSize
            self.highMark = highMark
            self.lowMark = lowMark
            self.hardLimit = hardLimit
            self.memoryLimit = memoryLimit
            self.postLimit = postLimit
            self.handleLimit = handleLimit
            self.isInterruptible = isInterruptible
        }
    }
}

extension EventLoop.Options {
    /// Calls `body` with the options in C's form, which are valid during the call.
    func withC(
        _ backend: Backend?, _ body: (UnsafePointer<sluice_options>) -> CInt
    ) throws(SluiceError) -> CInt {
        var options = unsafe sluice_options()
        unsafe options.size = MemoryLayout<sluice_options>.size
        unsafe options.receive_size = try positive(receiveSize, "receiveSize")
        unsafe options.high_mark = try positive(highMark, "highMark")
        unsafe options.low_mark = try positive(lowMark, "lowMark")
        unsafe options.hard_limit = try positive(hardLimit, "hardLimit")
        unsafe options.memory_limit = try positive(memoryLimit, "memoryLimit")
        unsafe options.post_limit = try positive(postLimit, "postLimit")
        unsafe options.handle_limit = try positive(handleLimit, "handleLimit")
        unsafe options.flags = isInterruptible ? SLUICE_INTERRUPTIBLE.rawValue : 0
        guard let backend else { return unsafe body(&options) }
        return unsafe backend.name.withCString {
            unsafe options.backend = $0
            return unsafe body(&options)
        }
    }
}

/// The option in C's form. There 0 means the default, so 0 cannot be asked for.
func positive<Number: FixedWidthInteger>(
    _ value: Int?, _ name: String
) throws(SluiceError) -> Number {
    guard let value else { return 0 }
    guard value >= 1, let number = Number(exactly: value) else {
        throw SluiceError(SLUICE_EOPTION.rawValue, "take the option", .text("\(name): \(value)"))
    }
    return number
}
