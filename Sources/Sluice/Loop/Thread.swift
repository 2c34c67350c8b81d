internal import Glibc

/// Starts a thread that calls `body` and ends. The caller must join or detach it.
///
/// - Throws: an errno if no more threads can be started.
func startThread(_ body: @escaping @Sendable () -> Void) throws(SluiceError) -> pthread_t {
    final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var thread = pthread_t()
    let argument = unsafe Unmanaged.passRetained(Body(body))
    let code = unsafe pthread_create(
        &thread, nil,
        { argument in
            unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
            return nil
        }, argument.toOpaque())
    guard code == 0 else {
        unsafe argument.release()
        throw SluiceError(-code, "start a thread")
    }
    return thread
}
