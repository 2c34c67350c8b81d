import Sluice
import SystemPackage
import Testing

extension AsyncTests {
    @Suite("Async proxies", .timeLimit(.minutes(5)))
    struct AsyncForwardTests {
        /// What became of each way, of one caller of a proxy.
        final class Ways: Sendable {
            let asked = Log<Bool>()
            let answered = Log<Bool>()
            let hasAsked = Gate()
            let hasAnswered = Gate()
            let isDone = Gate()
        }

        /// A proxy of which a client calls, before an upstream that does as `upstream` says.
        func withProxy(
            _ backend: Backend, _ tasks: Loop.Tasks,
            _ upstream: @escaping @Sendable (Connection, Ways) async throws -> Void,
            _ client: @Sendable (Connection, Ways) async throws -> Void
        ) async throws {
            let ways = Ways()
            let answering: Server.Handler = { try await upstream($0, ways) }
            try await withServer(backend, tasks: tasks, answering) { _, target in
                let handler: Server.Handler = { caller in
                    defer { ways.isDone.open() }
                    try await Client.connect(to: target, on: caller.loop) { called in
                        #expect(called.loop === caller.loop)
                        try await withThrowingDiscardingTaskGroup { group in
                            group.addTask {
                                ways.asked.append(try await caller.forward(to: called))
                                ways.hasAsked.open()
                            }
                            group.addTask {
                                ways.answered.append(try await called.forward(to: caller))
                                ways.hasAnswered.open()
                            }
                        }
                    }
                }
                try await withServer(backend, tasks: tasks, handler) { loop, address in
                    try await Client.connect(to: address, on: loop) { try await client($0, ways) }
                }
            }
        }

        @Test("both ways, and both ends", arguments: everyWay)
        func bothWays(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let all = pattern(3_000_000)
            try await withProxy(backend, tasks, { connection, _ in try await echo(connection) }) {
                connection, ways in
                async let got = readAll(connection)
                try await connection.write(all)
                try await connection.finishWriting()
                let back = try await got
                expectSame(back, all)
                await ways.isDone.wait()
                #expect(ways.asked.all == [true] && ways.answered.all == [true])
            }
        }

        @Test("an upstream that answers early and resets: the answer is whole", arguments: everyWay)
        func answersEarly(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let answer = pattern(200_000)
            let hasArrived = Gate()
            let isReset = Gate()
            let upstream = { @Sendable (connection: Connection, _: Ways) async throws in
                _ = try await connection.read(exactly: 8)
                try await connection.write(answer)
                try await connection.finishWriting()
                await hasArrived.wait()
                connection.abort()
                isReset.open()
            }
            try await withProxy(backend, tasks, upstream) { connection, ways in
                try await connection.write("question")
                let got = try await readAll(connection)
                expectSame(got, answer)
                hasArrived.open()
                await isReset.wait()
                // Over select and libevent, only a write that comes after the reset is told of it.
                let asking = Task {
                    while !Task.isCancelled {
                        try? await connection.write(" that goes on")
                        connection.flush()
                        try? await connection.loop.clock.sleep(for: .milliseconds(1))
                    }
                }
                await ways.isDone.wait()
                asking.cancel()
                await asking.value
                #expect(ways.asked.all == [false] && ways.answered.all == [true])
            }
        }

        @Test("an upstream that is cut off: no end, but a reset", arguments: everyWay)
        func cutOff(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let hasArrived = Gate()
            let upstream = { @Sendable (connection: Connection, _: Ways) async throws in
                try await connection.write("a part")
                await hasArrived.wait()
                connection.abort()
            }
            try await withProxy(backend, tasks, upstream) { connection, ways in
                let part = try await connection.read(exactly: 6)
                #expect(part == bytes("a part"))
                hasArrived.open()
                await expectThrow(SluiceError.self) { try await readAll(connection) }
                await ways.isDone.wait()
                #expect(ways.answered.all == [])
            }
        }

        @Test("an answer that waits for room, and a reset behind its end", arguments: everyWay)
        func waitsForRoom(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let filling = pattern(12_000_000)
            let hasTaken = Gate()
            let isReset = Gate()
            let answered = Log<Bool>()
            let upstream: Server.Handler = { connection in
                try await connection.write("answer")
                // A little later it waits in the proxy, behind the filling.
                await hasTaken.wait()
                try await connection.finishWriting()
                try await connection.loop.clock.sleep(for: .milliseconds(20))
                connection.abort()
                isReset.open()
            }
            try await withServer(backend, tasks: tasks, upstream) { _, target in
                let handler: Server.Handler = { caller in
                    try await Client.connect(to: target, on: caller.loop) { called in
                        try caller.tryWrite(filling.span)
                        try await withThrowingDiscardingTaskGroup { group in
                            group.addTask { answered.append(try await called.forward(to: caller)) }
                            group.addTask {
                                try await caller.loop.clock.sleep(for: .milliseconds(20))
                                hasTaken.open()
                            }
                        }
                    }
                }
                try await withServer(backend, tasks: tasks, handler) { loop, address in
                    try await Client.connect(to: address, on: loop) { connection in
                        await isReset.wait()
                        let got = try await readAll(connection)
                        expectSame(got, filling + bytes("answer"))
                    }
                }
            }
            #expect(answered.all == [true])
        }

        @Test("a target that had ended before: nobody waits", arguments: everyWay)
        func hadEnded(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let isDone = Gate()
            let silent: Server.Handler = { _ in await isDone.wait() }
            try await withServer(backend, tasks: tasks, silent) { loop, address in
                try await Client.connect(to: address, on: loop) { source in
                    try await Client.connect(to: address, on: loop) { destination in
                        destination.abort()
                        await expectThrow(SluiceError.self) { try await destination.next() }
                        let all = try await source.forward(to: destination)
                        #expect(!all)
                    }
                    isDone.open()
                }
            }
        }

        /// The others cannot tell a reset of who is not read from.
        private static let tellsResets = everyWay.filter { ["epoll", "poll"].contains($0.0.name) }

        @Test("a client that has asked all and is gone: nobody waits", arguments: tellsResets)
        func isGone(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let upstream = { @Sendable (connection: Connection, ways: Ways) async throws in
                let asked = try await readAll(connection)
                #expect(asked == bytes("question"))
                // No answer.
                await ways.hasAnswered.wait()
            }
            try await withProxy(backend, tasks, upstream) { connection, ways in
                try await connection.write("question")
                try await connection.finishWriting()
                await ways.hasAsked.wait()
                connection.abort()
                await ways.isDone.wait()
                #expect(ways.asked.all == [true] && ways.answered.all == [false])
            }
        }
    }
}
