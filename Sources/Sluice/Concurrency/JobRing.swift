/// Jobs that are to run on a loop's thread, which alone touches them: a ring that grows.
///
/// A job is trivial: a pointer that is taken out before it is run, and run once.
@safe
struct JobRing: ~Copyable {
    private var slots: UnsafeMutablePointer<UnownedJob>
    /// How many slots there are, less one: their count is a power of two.
    private var mask = 63
    private var head = 0
    private var tail = 0

    init() {
        unsafe slots = .allocate(capacity: 64)
    }

    deinit {
        unsafe slots.deallocate()
    }

    var count: Int { tail - head }

    @inline(__always)
    mutating func push(_ job: UnownedJob) {
        if tail &- head > mask { grow() }
        unsafe (slots + (tail & mask)).initialize(to: job)
        tail &+= 1
    }

    @inline(__always)
    mutating func pop() -> UnownedJob? {
        if head == tail { return nil }
        let job = unsafe slots[head & mask]
        head &+= 1
        return job
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<UnownedJob>.allocate(capacity: (mask + 1) * 2)
        for index in head..<tail {
            unsafe (larger + (index - head)).initialize(to: slots[index & mask])
        }
        unsafe slots.deallocate()
        unsafe slots = larger
        tail -= head
        head = 0
        mask = mask * 2 + 1
    }
}
