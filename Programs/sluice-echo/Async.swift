import ArgumentParser
import Dispatch
import Synchronization

/// Whether a command uses structured concurrency.
struct AsyncOption: ParsableArguments {
    @Flag(
        name: .customLong("async"),
        help: "Use structured concurrency, with a task for each connection, not a pulled loop.")
    var isAsync = false
}

/// Waits in this thread until `body` has ended. If `main` were async, a pulled loop would have more
/// threads than its own, too.
func waitFor<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
) throws -> Value {
    let outcome = Outcome<Value>()
    Task.detached {
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        outcome.result.withLock { $0 = result }
        outcome.isThere.signal()
    }
    outcome.isThere.wait()
    return try outcome.result.withLock { $0! }.get()
}

private final class Outcome<Value: Sendable>: Sendable {
    let result = Mutex<Result<Value, any Error>?>(nil)
    let isThere = DispatchSemaphore(value: 0)
}
