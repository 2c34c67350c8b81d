import Glibc
import Sluice
import Synchronization
import SystemPackage
import Testing

extension AsyncTests {
    @Suite("Async loops", .timeLimit(.minutes(5)))
    struct AsyncLoopTests {
        // MARK: The end

        @Test("a job that comes while the loop ends, or after, is run", arguments: everyWay)
        func lateJobs(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            for round in 0..<100 {
                let loop = try Loop.start(backend, tasks: tasks)
                let ran = Count()
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<4 {
                        group.addTask {
                            for _ in 0..<(round % 10) { await Task.yield() }
                            await loop.run {
                                #expect(loop.isCurrent)
                                ran.add()
                            }
                        }
                    }
                    group.addTask { await loop.stop() }
                    group.addTask { await loop.stop() }
                }
                #expect(ran.now == 4)
                await loop.run { _ = ran.add() }
                let sum = await withTaskExecutorPreference(loop.executor) { ran.add() }
                #expect(sum == 6)
                await loop.stop()
                let clock = SuspendingClock()
                let begin = clock.now
                try await loop.clock.sleep(for: .milliseconds(1))
                #expect(clock.now - begin >= .milliseconds(1), "also a sleep")
                await loop.stop()
            }
        }

        @Test("a job that comes while a server's loop ends, or after, is run", arguments: everyWay)
        func lateJobsOfServers(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            for _ in 0..<10 {
                let (executors, told) = AsyncStream.makeStream(of: (any TaskExecutor).self)
                let mayEnd = Gate()
                let server = Task {
                    var options = Server.Options()
                    options.backend = backend
                    options.tasks = tasks
                    options.alongside = { told.yield($0.executor) }
                    try await Server.run(on: "127.0.0.1:0", options: options, echo)
                }
                let thread = TestThread {
                    try? Loop.runHere(backend, tasks: tasks) { loop in
                        told.yield(loop.executor)
                        await mayEnd.wait()
                    }
                }
                let hasEnded = Count()
                let (asked, ran) = (Count(), Count())
                await withTaskGroup(of: Void.self) { group in
                    for await executor in executors.prefix(2) {
                        for _ in 0..<2 {
                            group.addTask {
                                // Nobody has the loop, so that it ends amid these.
                                var left = 10
                                while left > 0 {
                                    asked.add()
                                    await withTaskExecutorPreference(executor) { _ = ran.add() }
                                    if hasEnded.now == 2 { left -= 1 }
                                }
                            }
                        }
                    }
                    group.addTask {
                        server.cancel()
                        try? await server.value
                        hasEnded.add()
                    }
                    mayEnd.open()
                    thread.join()
                    hasEnded.add()
                }
                #expect(ran.now == asked.now)
            }
        }

        @Test("tasks go from loop to loop, over four threads", arguments: everyWay)
        func fourThreads(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let loops = try (0..<4).map { _ in try Loop.start(backend, tasks: tasks) }
            let served = loops.map { loop in
                let (addresses, told) = AsyncStream.makeStream(of: Address.self)
                let server = Task {
                    try await loop.serve(on: "127.0.0.1:0", ready: { told.yield($0) }) {
                        #expect($0.loop === loop && loop.isCurrent)
                        try await echo($0)
                    }
                }
                return (server: server, addresses: addresses)
            }
            var addresses: [String] = []
            for (_, told) in served {
                for await address in told.prefix(1) { addresses.append(address.text) }
            }
            try await withThrowingTaskGroup(of: Void.self) { [addresses] group in
                for number in 0..<64 {
                    let here = loops[number % 4]
                    let elsewhere = loops[(number + number / 16 + 1) % 4]
                    group.addTask {
                        try await Client.connect(to: addresses[number / 4 % 4], on: here) {
                            caller in
                            for round in 0..<10 {
                                #expect(here.isCurrent)
                                try await elsewhere.run {
                                    #expect(elsewhere.isCurrent)
                                    try await caller.write("\(round)\n")
                                    #expect(elsewhere.isCurrent)
                                }
                                let line = try await caller.readLine()
                                #expect(line == "\(round)" && here.isCurrent)
                                async let other = elsewhere.run { try await caller.readLine() }
                                try await caller.write("again \(round)\n")
                                caller.flush()
                                let again = try await other
                                #expect(again == "again \(round)" && here.isCurrent)
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            for (server, _) in served {
                server.cancel()
                try await server.value
            }
            for loop in loops { await loop.stop() }
        }

        @Test("a loop that is dropped ends by itself, and all of it goes", arguments: everyWay)
        func dropped(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            for round in 0..<20 {
                let ghost: Ghost<Loop>
                do {
                    let loop = try Loop.start(backend, tasks: tasks)
                    ghost = Ghost(loop)
                    if round % 2 == 0 { await loop.run {} }
                }
                let isGone = await eventually { ghost.isGone }
                #expect(isGone)
            }
            // The last reference is that of a task on the loop.
            let ghost: Ghost<Loop>
            let task: Task<Void, any Error>
            do {
                let loop = try Loop.start(backend, tasks: tasks)
                ghost = Ghost(loop)
                task = Task { try await loop.clock.sleep(for: .milliseconds(5)) }
            }
            try await task.value
            let isGone = await eventually { ghost.isGone }
            #expect(isGone)
        }

        @Test("a stop waits for what is left to do", arguments: everyWay)
        func stopWaits(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let loop = try Loop.start(backend, tasks: tasks)
            let done = Count()
            let sleeps = Gate()
            let task = Task {
                try await loop.run {
                    sleeps.open()
                    try await loop.clock.sleep(for: .milliseconds(20))
                    done.add()
                }
            }
            await sleeps.wait()
            await loop.run {}
            await loop.stop()
            #expect(done.now == 1)
            try await task.value
        }

        @Test("an executor outlives its loop", arguments: everyWay)
        func executor(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            for _ in 0..<20 {
                let executor: any TaskExecutor
                do { executor = try Loop.start(backend, tasks: tasks).executor }
                let results = await withTaskGroup(of: Int.self) { group in
                    for number in 0..<10 {
                        group.addTask(executorPreference: executor) {
                            await Task.yield()
                            return number
                        }
                    }
                    return await group.reduce(0, +)
                }
                #expect(results == 45)
            }
        }

        @Test("many threads enqueue at once, and nothing is lost", arguments: everyWay)
        func manyThreads(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let loop = try Loop.start(backend, tasks: tasks)
            let ran = Count()
            let threads = (0..<4).map { _ in
                TestThread {
                    for _ in 0..<500 { Task { await loop.run { _ = ran.add() } } }
                }
            }
            for thread in threads { thread.join() }
            let areDone = await eventually { ran.now == 2_000 }
            #expect(areDone)
            await loop.stop()
        }

        @Test("code on the loop is isolated to it, and others are stopped", arguments: Backend.all)
        func isolation(_ backend: Backend) async throws {
            let loop = try Loop.start(backend)
            await loop.run {
                loop.assertIsolated()
                loop.preconditionIsolated()
            }
            #expect(!loop.isCurrent)
            await loop.stop()
        }

        // MARK: The clock

        @Test("1,000 timers come in order, and never early", arguments: everyWay)
        func timers(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let loop = try Loop.start(backend, tasks: tasks)
            let clock = SuspendingClock()
            let first = clock.now.advanced(by: .milliseconds(200))
            @Sendable func deadline(_ place: Int) -> SuspendingClock.Instant {
                first.advanced(by: .microseconds(place * 200))
            }
            let begun = Log<(place: Int, at: SuspendingClock.Instant)>()
            let order = Log<Int>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<1_000 {
                    let place = (number * 379) % 1_000
                    group.addTask {
                        try await loop.run {
                            begun.append((place, clock.now))
                            try await loop.clock.sleep(until: deadline(place))
                            #expect(clock.now >= deadline(place), "early")
                            order.append(place)
                        }
                    }
                }
                try await group.waitForAll()
            }
            // Each is set between the moment when it begins and that when the next one does. A thread
            // that is held up in between sets it so much later, and one whose time is over is due at
            // once. That is the latest moment that a timer may be of.
            var latest = Array(repeating: SuspendingClock.Instant?.none, count: 1_000)
            for ((place, at), next) in zip(begun.all, begun.all.dropFirst()) {
                latest[place] = max(deadline(place), next.at).advanced(by: at.duration(to: next.at))
            }
            var last = 0
            for place in order.all {
                last = max(last, place)
                guard let latest = latest[place] else { continue }
                #expect(deadline(last) <= latest, "\(place) comes behind \(last)")
            }
            #expect(order.all.count == 1_000)
            for time in [Duration.zero, .seconds(-1), .nanoseconds(1)] {
                let before = clock.now
                try await loop.clock.sleep(for: time)
                try await loop.clock.sleep(until: before, tolerance: nil)
            }
            await loop.stop()
        }

        // MARK: Descriptors and signals

        @Test("two tasks wait for the two directions of a descriptor", arguments: everyWay)
        func descriptor(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let pair = try Pair()
            let loop = try Loop.start(backend, tasks: tasks)
            let (near, far) = (pair.near, pair.far)
            let watch = try await loop.watch(near)
            let all = pattern(2_000_000)
            try await loop.run {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        var sent = 0
                        while sent < all.count {
                            let count = try near.send(all.span.extracting(sent...))
                            sent += count
                            if count == 0 { try await watch.writable() }
                        }
                        shutdown(near.rawValue, CInt(SHUT_WR))
                    }
                    group.addTask {
                        // What comes back: as many bytes, each by a wait or by what is there.
                        var got = 0
                        var buffer = [UInt8](repeating: 0, count: 65_536)
                        while true {
                            try await watch.readable()
                            let count = unsafe recv(near.rawValue, &buffer, buffer.count, 0)
                            if count == 0 { break }
                            if count > 0 { got += count }
                        }
                        #expect(got == all.count)
                    }
                    group.addTask {
                        let other = try await loop.watch(far)
                        var buffer = [UInt8](repeating: 0, count: 65_536)
                        while true {
                            try await other.readable()
                            let count = unsafe recv(far.rawValue, &buffer, buffer.count, 0)
                            if count == 0 { break }
                            var sent = 0
                            while sent < count {
                                let went = try far.send(buffer.span.extracting(sent..<count))
                                sent += went
                                if went == 0 { try await other.writable() }
                            }
                        }
                        shutdown(far.rawValue, CInt(SHUT_WR))
                        other.end()
                    }
                    try await group.waitForAll()
                }
            }
            watch.end()
            await loop.stop()
            withExtendedLifetime(pair) {}
        }

        @Test("a watch that is dropped ends, and its loop may end", arguments: everyWay)
        func droppedWatch(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let pair = try Pair()
            let loop = try Loop.start(backend, tasks: tasks)
            for round in 0..<20 {
                // Else it could not be watched again.
                let watch = try await loop.watch(pair.near)
                try await watch.writable()
                if round % 2 == 0 { await loop.run { withExtendedLifetime(watch) {} } }
            }
            let left = await loop.statistics.handles(.watch)
            #expect(left == 0)
            // Who waits has it: nobody else does.
            let near = pair.near
            let waiting = Task { try await loop.watch(near).readable() }
            await loop.run {}
            _ = try pair.far.send(bytes("x"))
            try await waiting.value
            // The last reference to the loop is the watch's.
            let ghost: Ghost<Loop>
            do {
                let other = try Loop.start(backend, tasks: tasks)
                ghost = Ghost(other)
                _ = try await other.watch(pair.far)
            }
            let isGone = await eventually { ghost.isGone }
            #expect(isGone)
            // That it returns is what is promised.
            await loop.stop()
            withExtendedLifetime(pair) {}
        }

        // MARK: Signals

        @Test("two tasks that wait for the same signals end the program")
        func twoWaitForSignals() async throws {
            await #expect(processExitsWith: .failure) {
                let loop = try Loop.start()
                let signals = try Signals(SIGUSR1, on: loop)
                for _ in 0..<2 {
                    Task { for await _ in signals {} }
                }
                // Only where nothing happens.
                try await Task.sleep(for: .seconds(30))
                exit(0)
            }
        }

        @Test(
            "a signal that was given back elsewhere is heard by who takes it", arguments: everyWay)
        func signalTakenAgain(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let number = 50 + CInt(Backend.all.firstIndex(of: backend)!)
            for isOnLoop in [false, true] {
                let loop = try Loop.start(backend, tasks: tasks)
                if isOnLoop { await loop.run { SignalsHolder.take(number, loop) } }
                let signals = try await loop.run {
                    // Others make one and drop one, while the loop is busy here and hears of neither.
                    let dropped = Count()
                    Task.detached {
                        if !isOnLoop { SignalsHolder.take(number, loop) }
                        SignalsHolder.drop()
                        dropped.add()
                    }
                    while dropped.now == 0 { sched_yield() }
                    return try Signals(number, on: loop)
                }
                kill(getpid(), number)
                let heard = Task {
                    for await signal in signals { return signal as CInt? }
                    return nil
                }
                let end = Task {
                    try await Task.sleep(for: patience)
                    heard.cancel()
                }
                let signal = await heard.value
                end.cancel()
                #expect(signal == number)
                await loop.stop()
            }
        }
    }
}

/// Signals that one thread takes, and another gives back.
private enum SignalsHolder {
    private static let held = Mutex<Signals?>(nil)

    static func take(_ number: CInt, _ loop: Loop) {
        let signals = try? Signals(number, on: loop)
        held.withLock { $0 = signals }
    }

    static func drop() { held.withLock { $0 = nil } }
}
