import Glibc
import Sluice
import Synchronization
import Testing

/// Keeps what is enqueued.
private final class Keeper: SerialExecutor {
    let jobs = Mutex<[UnownedJob]>([])
    let threads = Mutex<[pthread_t]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        threads.withLock { $0.append(pthread_self()) }
    }

    func take() -> UnownedJob? { jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() } }
}

private actor Place {
    private let keeper: Keeper
    private var visits = 0

    init(_ keeper: Keeper) { self.keeper = keeper }
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe keeper.asUnownedSerialExecutor()
    }

    func wait() { visits += 1 }

    func hop(to other: Place, _ steps: Log<String>) async {
        steps.append("before")
        await other.wait()
        steps.append("after")
    }
}

/// What the runtime is trusted with: see Waiter.swift. Where one of these fails, so does all else.
extension AsyncTests {
    @Suite("The runtime keeps its word", .timeLimit(.minutes(5)))
    struct AsyncRuntimeTests {
        @Test("a hop enqueues its task's job once, within the hop, and on its thread")
        func hop() async {
            let home = Keeper()
            let parking = Keeper()
            let here = Place(home)
            let there = Place(parking)
            let steps = Log<String>()
            let task = Task { await here.hop(to: there, steps) }
            let hasCome = await eventually { home.jobs.withLock { !$0.isEmpty } }
            #expect(hasCome)
            // The executor's thread, which is this one while nothing is awaited.
            runOnThread {
                unsafe home.take()!.runSynchronously(on: home.asUnownedSerialExecutor())
                #expect(steps.all == ["before"])
                // The hop's end: all of it has happened by the time the job returns.
                #expect(parking.jobs.withLock { $0.count } == 1)
                #expect(parking.threads.withLock { $0 } == [pthread_self()])
                #expect(home.jobs.withLock { $0.isEmpty })
                // Run in place, as of the first actor, the job goes on there: by no other hop, or by one.
                let job = parking.take()!
                unsafe job.runSynchronously(on: home.asUnownedSerialExecutor())
                while let parked = parking.take() {
                    unsafe parked.runSynchronously(on: parking.asUnownedSerialExecutor())
                }
                while let next = home.take() {
                    unsafe next.runSynchronously(on: home.asUnownedSerialExecutor())
                }
                #expect(steps.all == ["before", "after"])
            }
            await task.value
        }

        @Test("each wait ends by its own event", arguments: everyWay)
        func own(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            // Should a hop enqueue later than it says, then one wait's job would be another's, and these,
            // which begin within one turn and end in another order, would be mixed up.
            let order = Log<Int>()
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                let sleeps = Log<Bool>()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<100 {
                        group.addTask {
                            try await Client.connect(to: address, on: loop) { connection in
                                let milliseconds = (number * 37) % 100 + 1
                                let begin = ContinuousClock.now
                                try await loop.clock.sleep(for: .milliseconds(milliseconds))
                                let slept = ContinuousClock.now - begin
                                sleeps.append(slept >= .milliseconds(milliseconds))
                                try await connection.write("\(number)\n")
                                let line = try await connection.readLine()
                                #expect(line == "\(number)")
                                order.append(number)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(!sleeps.all.contains(false))
            }
            #expect(order.all.sorted() == Array(0..<100))
        }
    }
}

/// Runs `body` on a thread of its own, and waits for it.
private func runOnThread(_ body: @escaping @Sendable () -> Void) {
    TestThread(body).join()
}
