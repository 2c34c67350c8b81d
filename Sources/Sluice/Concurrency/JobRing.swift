/// Jobs that are to run on a loop's thread: a ring that grows. Only that thread touches it.
///
/// A job is trivial: it is a pointer, which is taken out before the job runs. A job runs once.
@safe
struct JobRing: ~Copyable {
    private var slots: UnsafeMutablePointer<UnownedJob>
    /// The number of slots less one. That number is a power of two.
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
