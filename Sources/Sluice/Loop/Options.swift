internal import CSluice

extension EventLoop {
    /// How a loop is opened. Sizes are bytes, and everything is at least 1.
    public struct Options: Hashable, Sendable {
        /// What one receive brings at most: the size of the loop's one receive buffer.
        public var receiveSize: Int
        /// Over so many queued bytes a stream is to wait for ``Event/drained(_:)``, and is not read
        /// from where ``StreamOptions/isThrottled`` says so.
        public var highMark: Int
        /// At so many queued bytes ``Event/drained(_:)`` comes; a quarter of the high mark for
        /// `nil`.
        public var lowMark: Int?
        /// Over so many queued bytes of one stream a write is refused.
        public var hardLimit: Int
        /// What the queues and the held bytes of all streams may take together; no limit for `nil`.
        public var memoryLimit: Int?
        /// How many posts may wait to be pulled.
        public var postLimit: Int
        /// How many handles of each kind there may be.
        public var handleLimit: Int
        /// Whether a signal that a handler took ends a wait, with ``SluiceError/Code/interrupted``.
        /// Only where the backend has ``Features/interruptible``.
        public var isInterruptible: Bool

        /// The defaults, but where told.
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
    /// Calls `body` with the options as C takes them, which stand during the call.
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

/// The option as C has it, where 0 is the default and thus nothing that can be asked for.
func positive<Number: FixedWidthInteger>(
    _ value: Int?, _ name: String
) throws(SluiceError) -> Number {
    guard let value else { return 0 }
    guard value >= 1, let number = Number(exactly: value) else {
        throw SluiceError(SLUICE_EOPTION.rawValue, "take the option", .text("\(name): \(value)"))
    }
    return number
}
