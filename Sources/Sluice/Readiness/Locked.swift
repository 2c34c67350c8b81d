private import Glibc

/// A value that several threads use, one at a time.
// Not the standard library's Mutex (6.3), which ThreadSanitizer does not see on Linux: it takes
// each use for a race, and so real races would not be found.
@safe
final class Locked<Value: Sendable>: @unchecked Sendable {
    // Sendable, because only the holder of the lock reaches the value.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var value: Value

    init(_ value: Value) {
        self.value = value
        unsafe mutex.initialize(to: pthread_mutex_t())
        unsafe pthread_mutex_init(mutex, nil)
    }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Calls `body` with the value, which no other thread can use meanwhile.
    func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
