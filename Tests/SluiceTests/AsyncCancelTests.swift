import Glibc
import Sluice
import Synchronization
import SystemPackage
import Testing

/// Takes the callers in and says nothing, until they end.
private let silence: Server.Handler = { connection in
    while try await connection.next() != nil {}
}

extension AsyncTests {
    @Suite("Async cancellation", .timeLimit(.minutes(5)))
    struct AsyncCancelTests {
        @Test("a read is cancelled, from another thread and from the loop's", arguments: everyWay)
        func read(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, silence) { loop, address in
                for round in 0..<20 {
                    let waits = Gate()
                    let task = Task {
                        try await Client.connect(to: address, on: loop) { connection in
                            waits.open()
                            _ = try await connection.next()
                        }
                    }
                    await waits.wait()
                    // After that the task waits: it has left the thread.
                    await loop.run {}
                    if round % 2 == 0 { task.cancel() } else { await loop.run { task.cancel() } }
                    await expectThrow(CancellationError.self) { try await task.value }
                }
            }
        }

        @Test("what was cancelled before it began does not begin", arguments: everyWay)
        func before(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, silence) { loop, address in
                let task = Task {
                    while !Task.isCancelled { await Task.yield() }
                    await expectThrow(CancellationError.self) {
                        try await Client.connect(to: address, on: loop) { _ in
                            Issue.record("connected")
                        }
                    }
                    await expectThrow(CancellationError.self) {
                        try await loop.clock.sleep(for: .seconds(3_600))
                    }
                    await expectThrow(CancellationError.self) {
                        try await Task.sleep(for: .seconds(3_600), clock: loop.clock)
                    }
                    try await Server.run(on: "127.0.0.1:0", echo)
                }
                task.cancel()
                try await task.value
            }
        }

        @Test("a cancelled child leaves its connection usable", arguments: everyWay)
        func child(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    for round in 0..<12 {
                        let waits = Gate()
                        let read: @Sendable () async throws -> Void = {
                            waits.open()
                            switch round % 3 {
                            case 0: _ = try await connection.readLine()
                            case 1:
                                _ = try await connection.withReaderOnLoop {
                                    try await $0.readLine()
                                }
                            default:
                                _ = try await connection.withReaderOnLoop { reader in
                                    try await reader.read { $0.span.count }
                                }
                            }
                        }
                        let child =
                            round % 2 == 0
                            ? Task { try await read() }
                            : Task(executorPreference: loop.executor) { try await read() }
                        await waits.wait()
                        if round % 4 < 2 { await loop.run {} }
                        child.cancel()
                        await expectThrow(CancellationError.self) { try await child.value }
                        try await connection.write("line \(round)\n")
                        let line = try await connection.readLine()
                        #expect(line == "line \(round)")
                    }
                }
            }
        }

        @Test("no byte is lost when a read is cancelled as they come", arguments: everyWay)
        func race(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let total = 300
                    let got = Log<UInt8>()
                    for number in 0..<total {
                        let child = Task {
                            for byte in try await connection.read(atMost: 100) { got.append(byte) }
                        }
                        try await connection.write([UInt8(truncatingIfNeeded: number)])
                        connection.flush()
                        for _ in 0..<(number % 7) { await Task.yield() }
                        child.cancel()
                        _ = await child.result
                    }
                    while got.all.count < total {
                        for byte in try await connection.read(atMost: 1_000) { got.append(byte) }
                    }
                    #expect(got.all == (0..<total).map { UInt8(truncatingIfNeeded: $0) })
                }
            }
        }

        @Test("a write is cancelled, and writing goes on after it", arguments: everyWay)
        func write(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let mayRead = Gate()
            let handler: Server.Handler = { connection in
                await mayRead.wait()
                var total = 0
                while let count = try await connection.withNextBytes({ $0.count }) {
                    total += count
                }
                try await connection.write("\(total)\n")
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let written = Count()
                    let block = [UInt8](repeating: 1, count: 100_000)
                    for round in 0..<3 {
                        let child = Task {
                            while true {
                                // It has been queued, also where the wait for room is cancelled.
                                written.add(block.count)
                                switch round {
                                case 0: try await connection.write(block)
                                case 1:
                                    try await connection.withWriterOnLoop { writer in
                                        try await writer.write(block)
                                    }
                                default: try await loop.run { try await connection.write(block) }
                                }
                            }
                        }
                        var before = -1
                        while before != written.now {
                            before = written.now
                            try await loop.clock.sleep(for: .milliseconds(30))
                        }
                        child.cancel()
                        await expectThrow(CancellationError.self) { try await child.value }
                    }
                    mayRead.open()
                    try await connection.finishWriting()
                    let line = try await connection.readLine()
                    let total = try #require(line.flatMap { Int($0) })
                    #expect(total <= written.now && total >= written.now - 3 * block.count)
                }
            }
        }

        @Test("a sleep is cancelled at once", arguments: everyWay)
        func sleep(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let loop = try Loop.start(backend, tasks: tasks)
            for round in 0..<40 {
                let task = Task {
                    if round % 2 == 0 {
                        try await loop.clock.sleep(for: .seconds(3_600))
                    } else {
                        try await loop.run {
                            try await Task.sleep(for: .seconds(3_600), clock: loop.clock)
                        }
                    }
                }
                if round % 4 < 2 { await loop.run {} }
                task.cancel()
                await expectThrow(CancellationError.self) { try await task.value }
            }
            await loop.stop()
        }

        @Test("a connect is cancelled at once", arguments: everyWay)
        func connect(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let full = try FullListener()
            let loop = try Loop.start(backend, tasks: tasks)
            for round in 0..<20 {
                let task = Task {
                    try await Client.connect(to: full.address, on: loop) { _ in
                        Issue.record("connected")
                    }
                }
                if round % 2 == 0 { for _ in 0..<round { await loop.run {} } }
                task.cancel()
                await expectThrow(CancellationError.self) { try await task.value }
            }
            await loop.stop()
        }

        @Test("connects by 200, cancelled whenever, leave nothing", arguments: everyWay)
        func connects(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                for number in 0..<200 {
                    let task = Task {
                        try await Client.connect(to: address, on: loop) { connection in
                            while true {
                                try await connection.write("x")
                                _ = try await connection.next()
                            }
                        }
                    }
                    for _ in 0..<(number % 13) { await Task.yield() }
                    task.cancel()
                    await expectThrow(CancellationError.self) { try await task.value }
                }
            }
        }

        @Test("a wait for a descriptor is cancelled, and it is usable", arguments: everyWay)
        func descriptor(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let pair = try Pair()
            let loop = try Loop.start(backend, tasks: tasks)
            let watch = try await loop.watch(pair.near)
            for _ in 0..<10 {
                let task = Task { try await watch.readable() }
                await loop.run {}
                task.cancel()
                await expectThrow(CancellationError.self) { try await task.value }
                try await watch.writable()
            }
            let waiting = Task { try await watch.readable() }
            try await watch.writable()
            _ = try pair.far.send(bytes("x"))
            try await waiting.value
            let ended = Task { try await loop.run { try await watch.readable() } }
            _ = try? await ended.value
            var byte: UInt8 = 0
            _ = unsafe recv(pair.near.rawValue, &byte, 1, 0)
            let last = Task { try await watch.readable() }
            await loop.run {}
            watch.end()
            await expectThrow(SluiceError.self) { try await last.value }
            await expectThrow(SluiceError.self) { try await watch.readable() }
            watch.end()
            await loop.stop()
        }

        @Test("signals end with their task", arguments: Backend.all)
        func signals(_ backend: Backend) async throws {
            // Each of a signal of its own, since tests run side by side.
            let number = 40 + CInt(Backend.all.firstIndex(of: backend)!)
            let loop = try Loop.start(backend)
            let signals = try Signals(number, on: loop)
            #expect(throws: SluiceError.self) { try Signals(number, on: loop) }
            let got = Count()
            let task = Task {
                for await signal in signals where signal == number { got.add() }
                return Task.isCancelled
            }
            for round in 1...3 {
                kill(getpid(), number)
                let hasCome = await eventually { got.now == round }
                #expect(hasCome)
            }
            task.cancel()
            let wasCancelled = await task.value
            #expect(wasCancelled)
            await loop.stop()
        }

        @Test("a script is cancelled at its n-th wait, for every n", arguments: everyWay)
        func script(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let full = try FullListener()
            for fromLoop in [false, true] {
                for number in 0..<Script.waits {
                    let isOver = Gate()
                    try await withServer(
                        backend, tasks: tasks,
                        { connection in
                            let command = try await connection.readLine()
                            if command == "read" { try await connection.write("line\n") }
                            if command != "silence" { _ = try await readAll(connection) }
                            if command == "silence" { await isOver.wait() }
                        }
                    ) { loop, address in
                        let script = Script(number, loop, address, full.address)
                        let task = Task { [script] in try await script.run() }
                        await script.arrives.wait()
                        await loop.run {}
                        if fromLoop { await loop.run { task.cancel() } } else { task.cancel() }
                        await expectThrow(CancellationError.self, "at \(number)") {
                            try await task.value
                        }
                        #expect(script.reached.now == number, "and not at another")
                        isOver.open()
                    }
                }
            }
        }
    }
}

/// Every kind of wait, one after the other: all of them end but the n-th.
private final class Script: Sendable {
    static let waits = 9

    let number: Int
    let loop: Loop
    let address: String
    let full: String
    let arrives = Gate()
    let reached = Count()

    init(_ number: Int, _ loop: Loop, _ address: String, _ full: String) {
        self.number = number
        self.loop = loop
        self.address = address
        self.full = full
        reached.add(-1)
    }

    /// Whether the wait that follows is the one that does not end.
    func isHere() -> Bool {
        let isHere = reached.add() == number
        if isHere { arrives.open() }
        return isHere
    }

    func run() async throws {
        try await loop.run { try await self.all() }
    }

    nonisolated(nonsending) func all() async throws {
        // 0: a sleep.
        try await loop.clock.sleep(for: isHere() ? .seconds(3_600) : .milliseconds(1))
        // 1: a connect.
        try await Client.connect(to: isHere() ? full : address) { _ in }
        // 2: a read of the home task.
        try await Client.connect(to: address) { connection in
            try await connection.write(isHere() ? "mute\n" : "read\n")
            _ = try await connection.readLine()
        }
        // 3: a write of the home task.
        try await Client.connect(to: address) { connection in
            try await connection.write(isHere() ? "silence\n" : "sink\n")
            for _ in 0..<100 { try await connection.write([UInt8](repeating: 1, count: 200_000)) }
        }
        // 4: a read of a child, which has a home; the connection's own task waits for the child.
        try await Client.connect(to: address) { connection in
            try await connection.write(isHere() ? "mute\n" : "read\n")
            async let line = connection.withReaderOnLoop { try await $0.readLine() }
            _ = try await line
        }
        // 5: a read of a child that has none.
        try await Client.connect(to: address) { connection in
            try await connection.write(isHere() ? "mute\n" : "read\n")
            async let line = connection.readLine()
            _ = try await line
        }
        // 6: a write of a child.
        try await Client.connect(to: address) { connection in
            try await connection.write(isHere() ? "silence\n" : "sink\n")
            async let written: Void = connection.withWriterOnLoop { writer in
                for _ in 0..<100 {
                    try await writer.write([UInt8](repeating: 1, count: 200_000))
                }
            }
            try await written
        }
        // 7: a descriptor.
        let pair = try Pair()
        let watch = try await loop.watch(pair.near)
        defer { watch.end() }
        if !isHere() { _ = try pair.far.send([1]) }
        try await watch.readable()
        // 8: a deadline that is not over.
        try await Client.connect(to: address) { connection in
            try await connection.write(isHere() ? "mute\n" : "read\n")
            _ = try await connection.withDeadline(.seconds(3_600)) {
                try await connection.readLine()
            }
        }
    }
}

/// A listener whose queue is full: a connect to it goes on for ever.
final class FullListener: Sendable {
    let address: String
    private let all: [FileDescriptor]

    init() throws {
        let listener = try FileDescriptor.listen(on: "127.0.0.1:0", backlog: 1)
        address = try listener.localAddress().description
        var all = [listener]
        // The kernel says that they are connected before they stand in the queue, and may put that off.
        while !listener.hasFullQueue {
            if all.count < 5 { all.append(try FileDescriptor.connect(to: address)) }
        }
        self.all = all
    }

    deinit {
        for one in all { try? one.close() }
    }
}

extension FileDescriptor {
    /// Whether a listener's queue is full, as tcp(7) says of it.
    fileprivate var hasFullQueue: Bool {
        var info = tcp_info()
        var size = socklen_t(MemoryLayout<tcp_info>.size)
        guard unsafe getsockopt(rawValue, CInt(IPPROTO_TCP), TCP_INFO, &info, &size) == 0 else {
            return false
        }
        // Of a listener, they are how long its queue is, and how long it may be.
        return info.tcpi_unacked > info.tcpi_sacked
    }
}
