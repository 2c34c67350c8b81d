import Glibc
import Sluice
import SystemPackage
import Testing

private struct Failure: Error {}

extension AsyncTests {
    @Suite("Async servers", .timeLimit(.minutes(5)))
    struct AsyncServerTests {
        // MARK: Deadlines and limits

        @Test("a deadline ends waits, and the connection is usable after it", arguments: everyWay)
        func deadline(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    for round in 0..<5 {
                        await expectThrow(Sluice.TimedOut.self) {
                            try await connection.withDeadline(.milliseconds(3)) {
                                try await connection.readLine()
                            }
                        }
                        try await connection.write("\(round)\n")
                        let line = try await connection.withDeadline(.seconds(60)) {
                            try await connection.readLine()
                        }
                        #expect(line == "\(round)")
                    }
                    try await connection.withDeadline(.zero) {
                        // What needs no wait needs no time.
                        try await connection.write("x\n")
                    }
                    let line = try await connection.readLine()
                    #expect(line == "x")
                }
            }
        }

        @Test("deadlines nest, and the first that is up counts", arguments: everyWay)
        func nested(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    // The inner one first: the outer goes on.
                    try await connection.withDeadline(.seconds(60)) {
                        await expectThrow(Sluice.TimedOut.self) {
                            try await connection.withDeadline(.milliseconds(3)) {
                                try await connection.next()
                            }
                        }
                        try await connection.write("a\n")
                        let line = try await connection.readLine()
                        #expect(line == "a")
                    }
                    // The outer one first: the inner's waits end too, and those after it.
                    await expectThrow(Sluice.TimedOut.self) {
                        try await connection.withDeadline(.milliseconds(3)) {
                            await expectThrow(Sluice.TimedOut.self) {
                                try await connection.withDeadline(.seconds(60)) {
                                    try await connection.next()
                                }
                            }
                            _ = try await connection.next()
                        }
                    }
                    try await connection.write("b\n")
                    let line = try await connection.readLine()
                    #expect(line == "b")
                }
            }
        }

        @Test("two tasks of a connection may have deadlines that overlap", arguments: everyWay)
        func overlapping(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let begun = Gate()
                    let mayEnd = Gate()
                    let other = Task {
                        try await loop.run {
                            try await connection.withDeadline(.milliseconds(1)) {
                                begun.open()
                                await mayEnd.wait()
                            }
                        }
                    }
                    await begun.wait()
                    try await connection.withDeadline(.seconds(60)) {
                        try await loop.clock.sleep(for: .milliseconds(5))
                        mayEnd.open()
                        try await other.value
                    }
                    await expectThrow(Sluice.TimedOut.self) {
                        try await connection.withDeadline(.milliseconds(1)) {
                            try await connection.next()
                        }
                    }
                    try await connection.write("a\n")
                    let line = try await connection.readLine()
                    #expect(line == "a")
                }
            }
        }

        @Test("a deadline ends a write that waits for room", arguments: everyWay)
        func writeDeadline(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let mayEnd = Gate()
            try await withServer(backend, tasks: tasks, { _ in await mayEnd.wait() }) {
                loop, address in
                await expectThrow(Sluice.TimedOut.self) {
                    try await Client.connect(to: address, on: loop) { connection in
                        try await connection.withDeadline(.milliseconds(50)) {
                            while true {
                                try await connection.write([UInt8](repeating: 1, count: 100_000))
                            }
                        }
                    }
                }
                mayEnd.open()
            }
        }

        @Test("limits of a server end reads, writes, connections and silence", arguments: everyWay)
        func limits(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let limits: [(String, @Sendable (inout Server.Options) -> Void)] = [
                ("read", { $0.readLimit = .milliseconds(20) }),
                ("write", { $0.writeLimit = .milliseconds(20) }),
                ("connection", { $0.connectionLimit = .milliseconds(20) }),
                ("idle", { $0.listener.streams.idleTimeout = .milliseconds(20) }),
            ]
            for (name, limit) in limits {
                let errors = Log<String>()
                let done = Gate()
                try await withServer(
                    backend, tasks: tasks,
                    options: {
                        limit(&$0)
                        $0.onError = { _, error in
                            errors.append("\(type(of: error))")
                            done.open()
                        }
                    },
                    { connection in
                        if name == "write" {
                            while true {
                                try await connection.write([UInt8](repeating: 1, count: 100_000))
                            }
                        }
                        while let bytes = try await connection.next() {
                            try await connection.write(bytes)
                        }
                    }
                ) { loop, address in
                    try await Client.connect(to: address, on: loop) { connection in
                        // It may be over before that comes.
                        if name != "write" {
                            try? await connection.write("x")
                            _ = try? await connection.read(exactly: 1)
                        }
                        await done.wait()
                    }
                }
                #expect(errors.all == [name == "idle" ? "SluiceError" : "TimedOut"], "\(name)")
            }
        }

        @Test(
            "a connection that ends before its handler begins leaves no limit behind",
            arguments: everyWay)
        func endsBeforeItBegins(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let callers = 20
            let handled = Count()
            let timers = Log<Int>()
            let isLooked = Gate()
            try await withServer(
                backend, tasks: tasks,
                options: {
                    $0.connectionLimit = .seconds(3_600)
                    $0.alongside = { loop in
                        // So many that the loop looks for events several times before a new job runs.
                        await withTaskGroup { group in
                            for _ in 0..<3_000 {
                                group.addTask {
                                    await loop.run {
                                        while handled.now < callers && !Task.isCancelled {
                                            await Task.yield()
                                        }
                                    }
                                }
                            }
                        }
                        timers.append(Int(await loop.statistics.handles(.timer)))
                        isLooked.open()
                    }
                },
                { connection in
                    defer { handled.add() }
                    while try await connection.next() != nil {}
                }
            ) { _, address in
                for _ in 0..<callers {
                    let caller = try FileDescriptor.connected(to: address)
                    var reset = linger(l_onoff: 1, l_linger: 0)
                    unsafe setsockopt(
                        caller.rawValue, SOL_SOCKET, SO_LINGER, &reset,
                        socklen_t(MemoryLayout<linger>.size))
                    try caller.close()
                }
                await isLooked.wait()
            }
            #expect(timers.all == [0])
        }

        // MARK: Errors

        @Test("what a handler throws is told, and touches no other connection", arguments: everyWay)
        func errors(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let errors = Log<Bool>()
            try await withServer(
                backend, tasks: tasks,
                options: {
                    $0.onError = { connection, error in
                        errors.append(error is Failure && connection.loop.isCurrent)
                    }
                },
                { connection in
                    while let line = try await connection.readLine() {
                        if line == "fail" { throw Failure() }
                        try await connection.write(line + "\n")
                    }
                }
            ) { loop, address in
                try await Client.connect(to: address, on: loop) { good in
                    for round in 0..<5 {
                        try await Client.connect(to: address, on: loop) { bad in
                            try await bad.write("fail\n")
                            // What it has must not look whole.
                            await expectThrow(SluiceError.self) { try await bad.readLine() }
                        }
                        try await good.write("\(round)\n")
                        let line = try await good.readLine()
                        #expect(line == "\(round)")
                    }
                }
            }
            #expect(errors.all == [true, true, true, true, true])
        }

        @Test("where the body of a client throws, that is what comes out", arguments: everyWay)
        func clientThrows(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                await expectThrow(Failure.self) {
                    try await Client.connect(to: address, on: loop) { _ in throw Failure() }
                }
            }
        }

        // MARK: Two tasks

        @Test("two tasks use one connection, from wherever they are", arguments: everyWay)
        func twoTasks(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let all = pattern(2_000_000)
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            try await connection.withReaderOnLoop { reader in
                                var got: [UInt8] = []
                                while got.count < all.count {
                                    try await reader.read { input in
                                        got.append(contentsOf: input.span)
                                        input.consume(input.span.count)
                                    }
                                }
                                expectSame(got, all)
                            }
                        }
                        group.addTask {
                            try await connection.withWriterOnLoop { writer in
                                try await writer.write(all.span)
                            }
                        }
                        try await group.waitForAll()
                    }
                    async let back = connection.read(exactly: all.count)
                    try await connection.write(all)
                    let got = try await back
                    expectSame(got, all)
                    try await onMain(connection)
                    try await Task.detached {
                        try await connection.write("detached\n")
                        let line = try await connection.readLine()
                        #expect(line == "detached")
                    }.value
                }
            }
        }

        // MARK: Shutdown

        @Test("at the end of input handlers come to their own end", arguments: everyWay)
        func endInput(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let ended = Count()
            try await shutDown(
                backend, tasks, { _ in },
                { connection in
                    while let line = try await connection.readLine() {
                        try await connection.write(line + "\n")
                    }
                    #expect(connection.isShuttingDown)
                    try await connection.write("bye\n")
                    ended.add()
                }
            ) { connection in
                let line = try await connection.readLine()
                #expect(line == "bye")
                let end = try await connection.readLine()
                #expect(end == nil)
            }
            #expect(ended.now == 3)
        }

        @Test("what was sent before the end of input is read", arguments: everyWay)
        func endInputWhole(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let all = pattern(40_000)
            let isBusy = Gate()
            let whole = Log<Bool>()
            let sockets = Log<FileDescriptor>()
            try await withServer(
                backend, tasks: tasks,
                // The peer does not end.
                options: { $0.listener.streams.lingerTime = .milliseconds(1) },
                { connection in
                    _ = try await connection.read(exactly: 1)
                    isBusy.open()
                    // What comes meanwhile stays in the kernel.
                    while !connection.isShuttingDown {
                        try await connection.loop.clock.sleep(for: .milliseconds(1))
                    }
                    let got = try await connection.read(exactly: all.count)
                    whole.append(got == all)
                    let end = try await connection.next()
                    #expect(end == nil)
                }
            ) { _, address in
                let socket = try FileDescriptor.connected(to: address)
                sockets.append(socket)
                _ = try socket.send([0])
                await isBusy.wait()
                let count = try socket.send(all.span)
                #expect(count == all.count)
                let hasArrived = await eventually { socket.unacknowledged == 0 }
                #expect(hasArrived)
            }
            #expect(whole.all == [true])
            for socket in sockets.all { try socket.close() }
        }

        @Test("a server that waits goes on with its connections", arguments: everyWay)
        func wait(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await shutDown(
                backend, tasks, { $0.onShutdown = .wait },
                { connection in
                    while let line = try await connection.readLine() {
                        try await connection.write(line + "\n")
                    }
                }
            ) { connection in
                for _ in 0..<3 {
                    try await connection.write("still here\n")
                    let line = try await connection.readLine()
                    #expect(line == "still here")
                }
            }
        }

        @Test("a server that cancels has its handlers throw", arguments: everyWay)
        func cancel(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let cancelled = Count()
            try await shutDown(
                backend, tasks,
                {
                    $0.onShutdown = .cancel
                    $0.onError = { if $1 is CancellationError { cancelled.add() } }
                },
                { connection in
                    // In a read, in a sleep, in a child.
                    try await connection.write("ready\n")
                    switch try await connection.readLine() {
                    case "0": _ = try await connection.readLine()
                    case "1": try await connection.loop.clock.sleep(for: .seconds(3_600))
                    default:
                        async let line = connection.withReaderOnLoop { try await $0.readLine() }
                        _ = try await line
                    }
                }
            ) { connection in
                let line = try? await connection.readLine()
                #expect(line == nil)
            }
            #expect(cancelled.now == 3)
        }

        @Test("after the grace period the rest is cancelled", arguments: everyWay)
        func grace(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let cancelled = Count()
            try await shutDown(
                backend, tasks,
                {
                    $0.onShutdown = .wait
                    $0.gracePeriod = .milliseconds(20)
                    $0.onError = { if $1 is CancellationError { cancelled.add() } }
                },
                { connection in while try await connection.next() != nil {} }
            ) { connection in
                let line = try? await connection.readLine()
                #expect(line == nil)
            }
            #expect(cancelled.now == 3)
        }

        /// Serves three callers, and cancels the server while they are there.
        func shutDown(
            _ backend: Backend, _ tasks: Loop.Tasks, _ configure: (inout Server.Options) -> Void,
            _ handler: @escaping Server.Handler,
            then body: @escaping @Sendable (Connection) async throws -> Void
        ) async throws {
            var options = Server.Options()
            options.backend = backend
            options.tasks = tasks
            configure(&options)
            let served = options
            let (addresses, ready) = AsyncStream<String>.makeStream()
            let arrived = Count()
            let server = Task {
                try await Server.run(
                    on: "\(ownHost()):0", options: served, ready: { ready.yield($0.description) }
                ) { connection in
                    arrived.add()
                    try await handler(connection)
                }
            }
            var first = addresses.makeAsyncIterator()
            let address = await first.next()!
            let loop = try Loop.start(backend, tasks: tasks)
            try await withThrowingTaskGroup(of: Void.self) { group in
                let present = Count()
                let all = Gate()
                for number in 0..<3 {
                    group.addTask {
                        try await Client.connect(to: address, on: loop) { connection in
                            if served.onShutdown == .cancel {
                                let line = try await connection.readLine()
                                #expect(line == "ready")
                                try await connection.write("\(number)\n")
                                connection.flush()
                            }
                            if present.add() == 3 { all.open() }
                            let hasArrived = await eventually { arrived.now == 3 }
                            #expect(hasArrived)
                            await all.wait()
                            if number == 0 { server.cancel() }
                            try await body(connection)
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await server.value
            await expectThrow(SluiceError.self) {
                try await Client.connect(to: address, on: loop) { _ in }
            }
            await loop.stop()
        }

        @Test(
            "what waits for its peer to end is aborted after the grace period", arguments: everyWay,
            [Server.Shutdown.endInput, .wait, .cancel])
        func lingers(_ way: (Backend, Loop.Tasks), _ how: Server.Shutdown) async throws {
            let (backend, tasks) = way
            let sockets = Log<FileDescriptor>()
            let returned = Count()
            try await withServer(
                backend, tasks: tasks,
                options: {
                    $0.onShutdown = how
                    $0.gracePeriod = .milliseconds(20)
                    $0.listener.streams.lingerTime = .seconds(3_600)
                },
                { connection in
                    try await connection.write("bye")
                    returned.add()
                }
            ) { _, address in
                for _ in 0..<3 { sockets.append(try FileDescriptor.connect(to: address)) }
                let have = await eventually { returned.now == 3 }
                #expect(have)
            }
            // The server has ended, and with it what nobody else would have.
            for socket in sockets.all { try socket.close() }
        }

        @Test("a handler that was cancelled is not waited for by its close", arguments: everyWay)
        func cancelledReturns(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let sockets = Log<FileDescriptor>()
            let waiting = Count()
            try await withServer(
                backend, tasks: tasks,
                options: {
                    $0.onShutdown = .cancel
                    $0.gracePeriod = .seconds(3_600)
                    $0.listener.streams.lingerTime = .seconds(3_600)
                },
                { connection in
                    waiting.add()
                    // Swallows the cancellation.
                    _ = try? await connection.next()
                }
            ) { loop, address in
                for _ in 0..<3 { sockets.append(try FileDescriptor.connect(to: address)) }
                let areWaiting = await eventually { waiting.now == 3 }
                #expect(areWaiting)
                // The same of a client, whose server does not end.
                var options = StreamOptions()
                options.lingerTime = .seconds(3_600)
                let served = options
                let isThere = Gate()
                let client = Task {
                    try await Client.connect(to: address, on: loop, options: served) { connection in
                        isThere.open()
                        _ = try? await connection.next()
                    }
                }
                await isThere.wait()
                client.cancel()
                try await client.value
            }
            for socket in sockets.all { try socket.close() }
        }

        @Test(
            "a server is busy when it is stopped, in each way", arguments: everyWay,
            [Server.Shutdown.endInput, .wait, .cancel])
        func busy(_ way: (Backend, Loop.Tasks), _ how: Server.Shutdown) async throws {
            let (backend, tasks) = way
            var options = Server.Options()
            options.backend = backend
            options.tasks = tasks
            options.onShutdown = how
            options.gracePeriod = .seconds(3_600)
            let served = options
            let (addresses, ready) = AsyncStream<String>.makeStream()
            let server = Task {
                try await Server.run(
                    on: "127.0.0.1:0", options: served, ready: { ready.yield($0.description) }, echo
                )
            }
            var first = addresses.makeAsyncIterator()
            let address = await first.next()!
            let loop = try Loop.start(backend, tasks: tasks)
            let echoed = Count()
            let isOver = Count()
            let wrong = Count()
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<16 {
                    group.addTask {
                        // Whoever is talking when the server stops is answered in full, or is told by
                        // an end, or by a reset.
                        try? await Client.connect(to: address, on: loop) { connection in
                            let text = bytes("message of \(number)")
                            while isOver.now == 0 || how != .wait {
                                try await connection.write(text)
                                let back = try await connection.read(exactly: text.count)
                                if back != text { wrong.add() }
                                if echoed.add() == 500 { server.cancel() }
                                // Where the server waits, it is served until it goes.
                                if how == .wait && echoed.now > 1_500 { isOver.add() }
                            }
                        }
                    }
                }
            }
            try await server.value
            #expect(wrong.now == 0)
            #expect(echoed.now >= (how == .wait ? 1_500 : 500))
            await loop.stop()
        }

        @Test(
            "a signal ends a server, and a second one cancels what is left", arguments: Backend.all)
        func signals(_ backend: Backend) async throws {
            let number = 50 + CInt(Backend.all.firstIndex(of: backend)!)
            let cancelled = Count()
            let shutting = Gate()
            try await withServer(
                backend,
                options: {
                    $0.stopsOn = [number]
                    $0.onError = { if $1 is CancellationError { cancelled.add() } }
                },
                { connection in
                    let end = try await connection.next()
                    #expect(end == nil && connection.isShuttingDown)
                    shutting.open()
                    try await connection.loop.clock.sleep(for: .seconds(3_600))
                }
            ) { loop, address in
                // The same signal ends no second server, and that leaves nothing open.
                var options = Server.Options()
                options.stopsOn = [number]
                let second = options
                await expectThrow(SluiceError.self) {
                    try await Server.run(on: "127.0.0.1:0", options: second, echo)
                }
                try await Client.connect(to: address, on: loop) { connection in
                    kill(getpid(), number)
                    await shutting.wait()
                    kill(getpid(), number)
                    _ = try? await connection.next()
                }
            }
            #expect(cancelled.now == 1)
        }

        @Test("SIGTERM ends a program's server in order")
        func sigterm() async throws {
            await #expect(processExitsWith: .exitCode(7)) {
                var options = Server.Options()
                options.stopsOn = [SIGTERM, SIGINT]
                try await Server.run(
                    on: "127.0.0.1:0", options: options,
                    ready: { _ in kill(getpid(), SIGTERM) }, echo)
                exit(7)
            }
        }

        @Test("a server heeds its signals before it accepts")
        func signalOfTheFirstClient() async throws {
            await #expect(processExitsWith: .exitCode(7)) {
                // What comes too early is lost, and then the server goes on until the alarm.
                signal(SIGTERM, SIG_IGN)
                alarm(60)
                for _ in 0..<50 {
                    let listening = try FileDescriptor.listen(on: "127.0.0.1:0")
                    try FileDescriptor.connect(to: listening.localAddress()).close()
                    var options = Server.Options()
                    options.stopsOn = [SIGTERM]
                    try await Server.run(adopting: listening, options: options) { _ in
                        kill(getpid(), SIGTERM)
                    }
                }
                exit(7)
            }
        }

        @Test("a silent caller gets no handler where that starts with bytes", arguments: everyWay)
        func onFirstBytes(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let started = Count()
            var options = Server.Options()
            options.backend = backend
            options.tasks = tasks
            options.startsHandler = .onFirstBytes
            let served = options
            let (addresses, ready) = AsyncStream<String>.makeStream()
            let server = Task {
                try await Server.run(
                    on: "127.0.0.1:0", options: served, ready: { ready.yield($0.description) }
                ) { connection in
                    started.add()
                    try await echo(connection)
                }
            }
            var first = addresses.makeAsyncIterator()
            let address = await first.next()!
            let loop = try Loop.start(backend, tasks: tasks)
            try await Client.connect(to: address, on: loop) { silent in
                try await Client.connect(to: address, on: loop) { talker in
                    try await talker.write("a\n")
                    let line = try await talker.readLine()
                    #expect(line == "a")
                    // Those who have sent are served without a wait.
                    try await talker.write("b\n")
                    let next = try await talker.readLine()
                    #expect(next == "b")
                }
                try await Client.connect(to: address, on: loop) { ender in
                    try await ender.finishWriting()
                    let end = try await ender.next()
                    #expect(end == nil)
                }
                #expect(started.now == 2)
                server.cancel()
                let end = try await silent.next()
                #expect(end == nil, "the silent one is closed")
            }
            try await server.value
            #expect(started.now == 2)
            await loop.stop()
        }

        // MARK: Loops and addresses

        @Test("four loops share one port", arguments: everyWay)
        func fourLoops(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let loops = Log<ObjectIdentifier>()
            try await withServer(
                backend, tasks: tasks, loops: .count(4),
                { connection in
                    loops.append(ObjectIdentifier(connection.loop))
                    #expect(connection.loop.isCurrent)
                    try await echo(connection)
                }
            ) { loop, address in
                #expect(!address.hasSuffix(":0"))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<64 {
                        group.addTask {
                            try await Client.connect(to: address, on: loop) { connection in
                                try await connection.write("\(number)\n")
                                let line = try await connection.readLine()
                                #expect(line == "\(number)")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(loops.all.count == 64)
            #expect(Set(loops.all).count > 1, "all callers came to one loop")
        }

        @Test("servers and clients share a loop, which goes on after them", arguments: everyWay)
        func ownLoop(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let loop = try Loop.start(backend, tasks: tasks)
            for _ in 0..<3 {
                let (addresses, ready) = AsyncStream<String>.makeStream()
                let servers = (0..<2).map { _ in
                    Task {
                        try await loop.serve(
                            on: "127.0.0.1:0", ready: { ready.yield($0.description) }
                        ) { connection in
                            #expect(connection.loop === loop && loop.isCurrent)
                            try await echo(connection)
                        }
                    }
                }
                for await address in addresses.prefix(2) {
                    try await Client.connect(to: address, on: loop) { connection in
                        try await connection.write("a\n")
                        let line = try await connection.readLine()
                        #expect(line == "a")
                    }
                }
                for server in servers { server.cancel() }
                for server in servers { try await server.value }
                let left = await loop.statistics
                #expect(left.handles(.listener) == 0 && left.handles(.stream) == 0)
            }
            await loop.stop()
        }

        @Test("a loop runs on the thread that asks for it", arguments: everyWay)
        func thisThread(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let results = Log<String>()
            let thread = TestThread {
                let here = pthread_self()
                for round in 0..<3 {
                    do {
                        let text = try Loop.runHere(backend, tasks: tasks) { loop in
                            #expect(loop.isCurrent && pthread_self() == here)
                            let (addresses, ready) = AsyncStream<String>.makeStream()
                            async let _: Void = loop.serve(
                                on: "127.0.0.1:0",
                                ready: {
                                    ready.yield($0.description)
                                    ready.finish()
                                }
                            ) { connection in
                                #expect(pthread_self() == here)
                                try await echo(connection)
                            }
                            var text: String?
                            for await address in addresses {
                                text = try await Client.connect(to: address, on: loop) {
                                    #expect(pthread_self() == here)
                                    try await $0.write("\(round)\n")
                                    return try await $0.readLine()
                                }
                            }
                            if round == 2 { throw Failure() }
                            // Where that returns, the server is cancelled.
                            return text
                        }
                        results.append(text ?? "nothing")
                    } catch {
                        results.append("\(type(of: error))")
                    }
                }
            }
            let isDone = await eventually { results.all.count == 3 }
            #expect(isDone && results.all == ["0", "1", "Failure"])
            thread.join()
        }

        @Test("a socket that listens already is served", arguments: Backend.all)
        func adopted(_ backend: Backend) async throws {
            let socket = try FileDescriptor.listen(on: "127.0.0.1:0")
            let address = try socket.localAddress().description
            var options = Server.Options()
            options.backend = backend
            let served = options
            let server = Task { try await Server.run(adopting: socket, options: served, echo) }
            try await Client.connect(to: address) { connection in
                try await connection.write("a\n")
                let line = try await connection.readLine()
                #expect(line == "a")
            }
            server.cancel()
            try await server.value
        }

        @Test("addresses are both ends'", arguments: Backend.all)
        func addresses(_ backend: Backend) async throws {
            try await withServer(
                backend,
                { connection in
                    let peer = connection.peerAddress!.description
                    try await connection.write("\(connection.localAddress!) \(peer)\n")
                    _ = try await readAll(connection)
                }
            ) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let line = try await connection.readLine()
                    #expect(line == "\(address) \(connection.localAddress!)")
                    #expect(connection.peerAddress?.description == address)
                }
            }
        }

        @Test(
            "a client is refused, finds no name, or waits no longer than it may",
            arguments: everyWay)
        func noConnection(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let loop = try Loop.start(backend, tasks: tasks)
            let socket = try FileDescriptor.listen(on: "\(ownHost()):0")
            let free = try socket.localAddress().description
            try socket.close()
            let full = try FullListener()
            for (address, what) in [(free, "refused"), ("no.such.name.invalid:80", "name")] {
                do {
                    _ = try await Client.connect(to: address, on: loop) { _ in
                        Issue.record("connected")
                    }
                } catch let error as SluiceError {
                    if what == "refused" { #expect(error.code.errno == .connectionRefused) }
                    // One sentence with the address, what happened and what to do.
                    let said = "\(error)"
                    #expect(said.hasPrefix("connect to \"\(address)\": "), "\(said)")
                    let end = what == "name" ? "network (SLUICE_ENAME)" : "port (ECONNREFUSED)"
                    #expect(said.hasSuffix(end), "\(said)")
                }
            }
            var options = StreamOptions()
            options.connectTimeout = .milliseconds(20)
            do {
                _ = try await Client.connect(to: full.address, on: loop, options: options) { _ in
                    Issue.record("connected")
                }
            } catch let error as SluiceError {
                #expect(error.code.errno == .timedOut)
                #expect("\(error)".hasPrefix("connect to \"\(full.address)\": "))
            }
            await expectThrow(SluiceError.self) {
                try await Client.connect(to: "not an address", on: loop) { _ in }
            }
            await expectThrow(SluiceError.self) { try await Server.run(on: "not an address", echo) }
            await loop.stop()
        }

        @Test(
            "a client lives on its caller's loop, or else on one that all share",
            arguments: everyWay)
        func whichLoop(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await loop.run {
                    try await Client.connect(to: address) { #expect($0.loop === loop) }
                }
                let shared = try await Client.connect(to: address) { connection in
                    #expect(connection.loop.isCurrent)
                    return connection.loop
                }
                #expect(shared !== loop)
                try await Client.connect(to: address) { #expect($0.loop === shared) }
            }
        }
    }
}

extension FileDescriptor {
    /// How many bytes its peer's kernel does not have yet.
    fileprivate var unacknowledged: CInt {
        var count: CInt = -1
        return unsafe ioctl(rawValue, UInt(TIOCOUTQ), &count) == 0 ? count : -1
    }
}

@MainActor
private func onMain(_ connection: Connection) async throws {
    try await connection.write("main\n")
    let line = try await connection.readLine()
    #expect(line == "main")
    MainActor.assertIsolated()
}
