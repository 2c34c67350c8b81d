import Sluice
import Testing

// Where code runs. This module sets no feature flags: a function that is isolated to nobody runs where
// its task prefers to, or else on the global pool.

private func helper(_ loop: Loop) async -> Bool {
    let before = loop.isCurrent
    await Task.yield()
    return before && loop.isCurrent
}

private nonisolated(nonsending) func neighbour(_ loop: Loop) async -> Bool { loop.isCurrent }

/// An actor with an executor of nobody's.
private actor Room {
    var visits = 0

    func visit(_ loop: Loop) -> Bool {
        visits += 1
        return loop.isCurrent
    }

    func visitAndReturn(_ loop: Loop, _ connection: Connection) async throws -> Bool {
        visits += 1
        let before = loop.isCurrent
        try await connection.write("room\n")
        let line = try await connection.readLine()
        return before && loop.isCurrent && line == "room"
    }
}

extension AsyncTests {
    @Suite("Where async code runs", .timeLimit(.minutes(5)))
    struct AsyncPlaceTests {
        @Test("a handler is on its loop after each kind of wait", arguments: everyWay)
        func waits(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                let loop = connection.loop
                @Sendable func expect(_ what: String, _ place: SourceLocation = #_sourceLocation) {
                    #expect(loop.isCurrent, "after \(what)", sourceLocation: place)
                }
                expect("the start")
                for try await _ in connection.inbound {
                    expect("inbound")
                    break
                }
                try await connection.write("1")
                expect("write")
                _ = try await connection.next()
                expect("next")
                try await connection.write("2")
                _ = try await connection.withNextBytes { _ in expect("withNextBytes, in its body") }
                expect("withNextBytes")
                try await connection.write("3")
                _ = try await connection.reader.read { input in
                    expect("reader.read, in its body")
                    input.consume(input.span.count)
                }
                expect("reader.read")
                try await connection.write("4\n")
                _ = try await connection.readLine()
                expect("readLine")
                try await connection.write("5")
                _ = try await connection.read(exactly: 1)
                expect("read(exactly:)")
                try await connection.write([UInt8](repeating: 6, count: 3_000_000))
                expect("a write that waits")
                _ = try await connection.read(exactly: 3_000_000)
                expect("a read of much")
                try await loop.clock.sleep(for: .milliseconds(1))
                expect("a sleep")
                try await Task.sleep(for: .milliseconds(1), clock: loop.clock)
                expect("Task.sleep by the loop's clock")
                try await Task.sleep(for: .milliseconds(1))
                expect("Task.sleep by the runtime's clock")
                await Task.yield()
                expect("a yield")
                await Task.detached {}.value
                expect("another task")
                await onMainActor()
                expect("the main actor")
                try await connection.withDeadline(.seconds(60)) {
                    expect("withDeadline, in its body")
                    try await connection.write("7\n")
                    _ = try await connection.readLine()
                    expect("a read within a deadline")
                }
                expect("withDeadline")
                try await connection.withReader { reader in
                    expect("withReader, in its body")
                    try await connection.write("8\n")
                    _ = try await reader.readLine()
                    expect("a read of a half")
                }
                expect("withReader")
                try await connection.withWriter { writer in
                    expect("withWriter, in its body")
                    try await writer.write([UInt8](repeating: 9, count: 3_000_000))
                    expect("a write of a half")
                }
                _ = try await connection.read(exactly: 3_000_000)
                await loop.run { expect("run, in its body") }
                expect("run")
                let isHere = await neighbour(loop)
                #expect(isHere, "in a nonsending function")
            }
            try await withServer(
                backend, tasks: tasks, options: { $0.onError = { Issue.record("\($1)") } }, handler
            ) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    #expect(loop.isCurrent)
                    try await connection.write("0")
                    let isWhole = try await connection.forward(to: connection)
                    #expect(isWhole)
                    #expect(loop.isCurrent)
                }
            }
        }

        @Test(
            "helper functions, children and actors stay where tasks prefer the loop",
            arguments: everyWay)
        func helpers(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let stays = tasks == .onLoop
            let body: Server.Handler = { connection in
                let loop = connection.loop
                let inHelper = await helper(loop)
                #expect(inHelper == stays, "a helper")
                #expect(loop.isCurrent)
                async let inChild = helper(loop)
                let wasInChild = await inChild
                #expect(wasInChild == stays, "async let")
                await withTaskGroup(of: Bool.self) { group in
                    group.addTask { await helper(loop) }
                    for await inGroup in group { #expect(inGroup == stays, "a group's child") }
                }
                #expect(loop.isCurrent)
                let inRoom = await Room().visit(loop)
                if stays { #expect(inRoom, "an actor") }
                #expect(loop.isCurrent)
                let off = await Task.detached { await helper(loop) }.value
                #expect(!off, "a detached task")
                let away = await withTaskExecutorPreference(globalConcurrentExecutor) {
                    await helper(loop)
                }
                #expect(!away, "what was moved off")
                #expect(loop.isCurrent)
            }
            try await withServer(
                backend, tasks: tasks,
                {
                    try await body($0); try await echo($0)
                }
            ) {
                loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    try await body(connection)
                    let isRight = try await Room().visitAndReturn(loop, connection)
                    if stays { #expect(isRight) }
                }
                let inRun = await loop.run { await helper(loop) }
                #expect(inRun == stays)
                let preferring = await withTaskExecutorPreference(loop.executor) {
                    await helper(loop)
                }
                #expect(preferring, "whoever says so")
            }
        }

        @Test("an actor that loops and the pool share serves all of them", arguments: everyWay)
        func sharedActor(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let room = Room()
            try await withServer(
                backend, tasks: tasks, loops: .count(2),
                options: { $0.onError = { Issue.record("\($1)") } },
                { connection in
                    // All of a connection's life is within the actor.
                    for _ in 0..<50 {
                        let line = try await room.converse(connection)
                        #expect(line == "again")
                    }
                }
            ) { loop, address in
                let pool = Task.detached {
                    while !Task.isCancelled {
                        _ = await room.visit(loop)
                        await Task.yield()
                    }
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            try await Client.connect(to: address, on: loop) { connection in
                                for _ in 0..<50 {
                                    let line = try await connection.readLine()
                                    #expect(line == "hello")
                                    try await connection.write("again\n")
                                }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                pool.cancel()
                await pool.value
            }
        }

        @Test("a task keeps its priority and its values on a loop", arguments: everyWay)
        func values(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                let priorities = Log<TaskPriority>()
                let task = Task(priority: .low) {
                    try await Values.$name.withValue("mine") {
                        try await Client.connect(to: address, on: loop) { connection in
                            try await connection.write("x")
                            _ = try await connection.next()
                            #expect(Values.name == "mine")
                            priorities.append(Task.currentPriority)
                        }
                    }
                }
                // Whoever awaits its value raises it.
                let isDone = await eventually { !priorities.all.isEmpty }
                #expect(isDone && priorities.all == [.low])
                try await task.value
            }
        }

        @Test(
            "a task that yields for ever does not keep the loop from its events",
            arguments: everyWay)
        func yields(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let flag = Count()
            try await withServer(
                backend, tasks: tasks,
                { connection in
                    async let child: Void = {
                        _ = try await connection.readLine()
                        flag.add()
                    }()
                    while flag.now == 0 { await Task.yield() }
                    try await child
                    try await connection.write("done\n")
                }
            ) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    try await connection.write("go\n")
                    let line = try await connection.readLine()
                    #expect(line == "done")
                }
            }
        }
    }
}

extension Room {
    fileprivate func converse(_ connection: Connection) async throws -> String? {
        visits += 1
        try await connection.write("hello\n")
        return try await connection.readLine()
    }
}

private enum Values {
    @TaskLocal static var name = "none"
}

@MainActor
private func onMainActor() async {
    await Task.yield()
}
