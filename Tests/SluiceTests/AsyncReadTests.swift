import Glibc
import Sluice
import SystemPackage
import Testing

extension AsyncTests {
    @Suite("Async reads", .timeLimit(.minutes(5)))
    struct AsyncReadTests {
        /// How a handler may read and send back what it has read.
        static let echoes: [(String, Server.Handler)] = [
            ("inbound", echo),
            (
                "next",
                { connection in
                    while let bytes = try await connection.next() {
                        try await connection.write(bytes.span)
                    }
                }
            ),
            (
                "withNextBytes",
                { connection in
                    while try await connection.withNextBytes({ try connection.tryWrite($0) }) != nil
                    {}
                }
            ),
            (
                "read(into:)",
                { connection in
                    var buffer = [UInt8](repeating: 0, count: 7)
                    while true {
                        var span = buffer.mutableSpan
                        let count = try await connection.read(into: &span)
                        if count == 0 { return }
                        try await connection.write(Array(buffer[..<count]))
                    }
                }
            ),
            (
                "read(atLeast:atMost:)",
                { connection in
                    while true {
                        let bytes = try await connection.read(atLeast: 2, atMost: 5)
                        if bytes.isEmpty { return }
                        try await connection.write(bytes)
                    }
                }
            ),
            (
                "read(exactly:)",
                { connection in
                    do {
                        while true { try await connection.write(connection.read(exactly: 3)) }
                    } catch let end as UnexpectedEnd {
                        #expect(end.wanted == 3)
                        try await connection.write(connection.read(atMost: 3))
                    }
                }
            ),
            (
                "read(until:limit:)",
                { connection in
                    while let part = try await connection.read(until: 10, limit: 100) {
                        try await connection.write(part + [10])
                    }
                }
            ),
            (
                "readLine(limit:)",
                { connection in
                    while let line = try await connection.readLine(limit: 100) {
                        try await connection.write(line + "\n")
                    }
                }
            ),
            (
                "reader.read",
                { connection in
                    var isOver = false
                    while !isOver {
                        var part: [UInt8] = []
                        isOver = try await connection.reader.read(atMost: 4) { input in
                            part = Array(input.span)
                            input.consume(part.count)
                            return input.isLast
                        }
                        try await connection.writer.write(part.span)
                    }
                }
            ),
            (
                "copies",
                { connection in
                    for try await bytes in connection.inbound.copies {
                        try await connection.write(bytes)
                    }
                }
            ),
            ("forward(to: itself)", { _ = try await $0.forward(to: $0) }),
        ]

        @Test("each kind of read gives all bytes, and the end", arguments: everyWay)
        func echoes(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let text = "one\ntwo\nthree, which is longer\n\nfive\n"
            for (name, handler) in Self.echoes {
                try await withServer(backend, tasks: tasks, handler) { loop, address in
                    try await Client.connect(to: address, on: loop) { connection in
                        for round in 0..<3 {
                            try await connection.write(text)
                            // What is read by threes has a rest that comes at the end.
                            if round < 2 && name != "read(exactly:)" {
                                let back = try await connection.read(exactly: text.utf8.count - 4)
                                #expect(back.starts(with: Array(text.utf8.dropLast(4))), "\(name)")
                                let rest = try await connection.read(exactly: 4)
                                #expect(rest == Array(text.utf8.suffix(4)), "\(name)")
                            }
                        }
                        try await connection.finishWriting()
                        let rest = try await readAll(connection)
                        let expected = name == "read(exactly:)" ? text + text + text : text
                        #expect(String(decoding: rest, as: UTF8.self) == expected, "\(name)")
                        for _ in 0..<3 {
                            let more = try await connection.next()
                            #expect(more == nil, "\(name): the end is once and for ever")
                        }
                    }
                }
            }
        }

        @Test("lines may be split over receives, and end by LF or CRLF", arguments: everyWay)
        func splitLines(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                for part in ["ab", "c\nd", "ef\r", "\n", "\r\n", "x\r\ny\nta", "il"] {
                    try await connection.write(part)
                    connection.flush()
                    _ = try await connection.read(exactly: 1)
                }
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    // So that no two parts come in one receive, each is asked for.
                    try await connection.write("1")
                    try await connection.write("2")
                    let first = try await connection.readLine()
                    #expect(first == "abc")
                    try await connection.write("345")
                    var lines: [String?] = []
                    for _ in 0..<3 { lines.append(try await connection.readLine()) }
                    #expect(lines == ["def", "", "x"])
                    try await connection.write("67")
                    let last = try await connection.readLine()
                    #expect(last == "y")
                    do {
                        _ = try await connection.readLine()
                        Issue.record("there is no such line")
                    } catch let error as UnexpectedEnd {
                        #expect(error == UnexpectedEnd(count: 4))
                    }
                    let rest = try await connection.read(atMost: 10)
                    #expect(rest == bytes("tail"), "what is left stays for the next read")
                    let end = try await connection.readLine()
                    #expect(end == nil)
                }
            }
        }

        @Test("what is over a limit throws, and stays for the next read", arguments: everyWay)
        func limits(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                try await connection.write("12345\n12345\r\n123456\r\nabc;")
                try await connection.finishWriting()
                _ = try await readAll(connection)
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    for _ in 0..<2 {
                        let line = try await connection.readLine(limit: 5)
                        #expect(line == "12345", "as long as the limit")
                    }
                    do {
                        _ = try await connection.readLine(limit: 5)
                        Issue.record("a line over its limit was read")
                    } catch let error as TooLong {
                        #expect(error == TooLong(limit: 5))
                    }
                    await expectThrow(TooLong.self) {
                        try await connection.read(until: 10, limit: 6)
                    }
                    let line = try await connection.readLine(limit: .max)
                    #expect(line == "123456")
                    let part = try await connection.read(until: UInt8(ascii: ";"), limit: 3)
                    #expect(part == bytes("abc"))
                    let end = try await connection.read(until: 10, limit: 0)
                    #expect(end == nil)
                    await expectThrow(UnexpectedEnd.self) { try await connection.read(exactly: 1) }
                    let nothing = try await connection.read(exactly: 0)
                    #expect(nothing == [])
                    let none = try await connection.read(atLeast: 0, atMost: 9)
                    #expect(none == [])
                }
            }
        }

        @Test("bytes come before a reset, which then throws each time", arguments: everyWay)
        func resets(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let hasWritten = Gate()
            let mayAbort = Gate()
            let hasAborted = Gate()
            let handler: Server.Handler = { connection in
                _ = try await connection.read(exactly: 1)
                try await connection.write("last words")
                connection.flush()
                // What is queued makes the abort a reset.
                try connection.tryWrite([UInt8](repeating: 0, count: 12_000_000).span)
                hasWritten.open()
                await mayAbort.wait()
                connection.abort()
                hasAborted.open()
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    try await connection.write("x")
                    await hasWritten.wait()
                    let first = try await connection.read(atLeast: 1, atMost: 4)
                    mayAbort.open()
                    await hasAborted.wait()
                    let rest = try await connection.read(atLeast: 6, atMost: 6)
                    #expect(first + rest == bytes("last words"))
                    await expectThrow(SluiceError.self) {
                        while try await connection.next() != nil {}
                    }
                    for _ in 0..<3 {
                        await expectThrow(SluiceError.self) { try await connection.next() }
                    }
                    await expectThrow(SluiceError.self) { try await connection.write("too late") }
                }
            }
        }

        @Test("bytes that were set aside come before a reset", arguments: everyWay)
        func resetWhileBusy(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                try await connection.write("last words")
                connection.flush()
                _ = try await connection.read(exactly: 1)
                try connection.tryWrite([UInt8](repeating: 0, count: 12_000_000).span)
                connection.abort()
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    try await connection.write("x and more")
                    let first = try await connection.read(exactly: 1)
                    // Until the reset has come, or would have.
                    try await loop.clock.sleep(for: .milliseconds(20))
                    let rest = try await connection.read(exactly: 9)
                    #expect(first + rest == bytes("last words"))
                    await expectThrow(SluiceError.self) {
                        while try await connection.next() != nil {}
                    }
                }
            }
        }

        @Test("a handler that is busy elsewhere keeps its bytes", arguments: everyWay)
        func busy(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                for try await bytes in connection.inbound {
                    let before = bytes.array
                    try await connection.loop.clock.sleep(for: .milliseconds(1))
                    #expect(bytes.array == before)
                    try await connection.write(bytes)
                }
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<20 {
                        group.addTask {
                            try await Client.connect(to: address, on: loop) { connection in
                                for round in 0..<10 {
                                    let text = "message \(number) \(round)"
                                    try await connection.write(text)
                                    let back = try await connection.read(exactly: text.utf8.count)
                                    #expect(String(decoding: back, as: UTF8.self) == text)
                                }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }

        @Test("lent bytes stay where more comes behind them", arguments: everyWay)
        func lentAndMore(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let hasSent = Gate()
            let handler: Server.Handler = { connection in
                try await connection.write("abc")
                connection.flush()
                _ = try await connection.read(exactly: 1)
                try await connection.write(String(repeating: "x", count: 10_000))
                connection.flush()
                hasSent.open()
                _ = try await readAll(connection)
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    await expectThrow(TooLong.self) {
                        try await connection.read(until: 0, limit: 2)
                    }
                    // A child's wait for more is cancelled, which leaves the stream open.
                    let child = Task { try await connection.read(exactly: 20) }
                    child.cancel()
                    _ = await child.result
                    let lent = try await connection.next()
                    let span = lent!.span
                    try await connection.write("1")
                    await hasSent.wait()
                    try await loop.clock.sleep(for: .milliseconds(5))
                    let kept = Array(span)
                    #expect(kept == bytes("abc"))
                    #expect(lent?.array == bytes("abc"))
                    let more = try await connection.read(exactly: 10_000)
                    #expect(more == bytes(String(repeating: "x", count: 10_000)))
                }
            }
        }

        @Test("bytes that are used after the next read end the program")
        func usedTooLate() async throws {
            let end = await #expect(processExitsWith: .failure) {
                try await withConversation { connection, loop in
                    let first = try await connection.next()
                    try await connection.write("b")
                    _ = try await connection.next()
                    _ = first?.array
                }
            }
            #expect(end?.exitStatus != .exitCode(3), "it has thrown")
            await #expect(processExitsWith: .success) {
                try await withConversation { connection, loop in
                    let first = try await connection.next()
                    try await loop.clock.sleep(for: .milliseconds(1))
                    guard first?.array == [97] else { exit(4) }
                    _ = try await connection.write("b")
                    _ = try await connection.next()
                }
            }
        }

        @Test("lent bytes that another thread uses after the next read end the program")
        func usedTooLateElsewhere() async throws {
            let end = await #expect(processExitsWith: .failure) {
                try await withConversation { connection, loop in
                    let first = try await connection.next()!
                    try await connection.write("b")
                    _ = try await connection.next()
                    _ = await Task.detached { first.array }.value
                }
            }
            #expect(end?.exitStatus != .exitCode(3), "it has thrown")
        }

        @Test("a read of no bytes, which would look like the end, ends the program")
        func readsNothing() async throws {
            let pipe = await #expect(
                processExitsWith: .failure, observing: [\.standardErrorContent]
            ) {
                let (reader, writer) = BytePipe.make()
                try await writer.write("a")
                _ = try await reader.read(atMost: 0) { $0.span.count }
                exit(0)
            }
            let half = await #expect(
                processExitsWith: .failure, observing: [\.standardErrorContent]
            ) {
                try await withConversation { connection, _ in
                    _ = try await connection.reader.read(atMost: 0) { $0.span.count }
                }
            }
            let into = await #expect(
                processExitsWith: .failure, observing: [\.standardErrorContent]
            ) {
                try await withConversation { connection, _ in
                    var none = MutableSpan<UInt8>()
                    _ = try await connection.read(into: &none)
                }
            }
            let whole = await #expect(
                processExitsWith: .failure, observing: [\.standardErrorContent]
            ) {
                try await withConversation { connection, _ in
                    _ = try await connection.read(atMost: 0)
                }
            }
            let said = [pipe, half, into, whole].map { result in
                String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
            }
            #expect(said[0].contains("a read of at most 0 bytes; ask for 1 at least"))
            #expect(said[1].contains("a read of at most 0 bytes; ask for 1 at least"))
            #expect(said[2].contains("a read into a buffer of no bytes"))
            #expect(said[3].contains("at least 1 bytes and at most 0"))
        }

        @Test("bytes that are read off the loop are copies", arguments: everyWay)
        func copies(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let task = Task.detached {
                        #expect(!loop.isCurrent)
                        try await connection.write(bytes("first").span)
                        let first = try await connection.next()
                        try await connection.write(Bytes(bytes("second")))
                        let second = try await connection.next()
                        return (first?.array, second?.array)
                    }
                    let (first, second) = try await task.value
                    #expect(first == bytes("first") && second == bytes("second"))
                    // What is lent on the loop is copied where it is used elsewhere.
                    for round in 0..<100 {
                        try await connection.write("round \(round)")
                        let lent = try await connection.next()!
                        let elsewhere = Task.detached { () async throws -> [UInt8] in
                            let array = lent.array
                            #expect(lent.description == "round \(round)")
                            #expect(sum(of: lent.span) == array.reduce(0) { $0 + Int($1) })
                            try await connection.write(lent)
                            return array
                        }
                        let array = try await elsewhere.value
                        #expect(array == bytes("round \(round)"))
                        #expect(lent.array == array)
                        let back = try await connection.read(exactly: array.count)
                        #expect(back == array)
                    }
                }
            }
        }

        @Test("stdlib algorithms work on inbound", arguments: everyWay)
        func algorithms(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            // With closures that leave the loop where tasks do not prefer it.
            let handler: Server.Handler = { connection in
                let inbound = connection.inbound
                let loop = connection.loop
                let texts = inbound.map { bytes in
                    let isHere = loop.isCurrent
                    #expect(isHere == (tasks == .onLoop))
                    return bytes.description
                }
                for try await text in texts.filter({ $0 != "no" }) {
                    #expect(loop.isCurrent)
                    try await connection.write(text)
                }
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    for word in ["one", "two"] {
                        try await connection.write(word)
                        let back = try await connection.read(exactly: 3)
                        #expect(back == bytes(word))
                    }
                }
            }
        }

        @Test("what a lending read does not consume comes again, with more", arguments: everyWay)
        func lending(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                for part in ["ab", "cd", "ef"] {
                    try await connection.write(part)
                    connection.flush()
                    _ = try await connection.read(exactly: 1)
                }
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let reader = connection.reader
                    let first = try await reader.read { Array($0.span) }
                    #expect(first == bytes("ab"))
                    try await connection.write("1")
                    let second = try await reader.read { input in
                        let bytes = Array(input.span)
                        input.consume(1)
                        return bytes
                    }
                    #expect(second == bytes("abcd"), "nothing was consumed, so there is more")
                    let third = try await reader.read(atMost: 2) { input in
                        let isLast = input.isLast
                        #expect(!isLast)
                        return Array(input.span)
                    }
                    #expect(third == bytes("bc"), "some was consumed, so the rest comes at once")
                    // Another read takes what was looked at: what follows is new.
                    let byte = try await connection.read(exactly: 1)
                    #expect(byte == bytes("b"))
                    let fourth = try await reader.read { Array($0.span) }
                    #expect(fourth == bytes("cd"))
                    try await connection.write("23")
                    try await connection.finishWriting()
                    let last = try await reader.read { input in
                        let bytes = Array(input.span)
                        input.consume(4)
                        return bytes
                    }
                    #expect(last == bytes("cdef"))
                    let end = try await reader.read { ($0.span.count, $0.isLast) }
                    #expect(end == (0, true))
                }
            }
        }

        @Test("a lending read that throws leaves all for the next", arguments: everyWay)
        func lendingThrows(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                try await connection.write("a ")
                _ = try await connection.read(exactly: 1)
                try await connection.write("line\n")
                _ = try await connection.next()
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let reader = connection.reader
                    _ = try await reader.read { $0.span.count }
                    try await connection.write("1")
                    // More has come, and is refused.
                    await expectThrow(TooLong.self) {
                        try await reader.read { _ in throw TooLong(limit: 2) }
                    }
                    let rest = try await connection.withDeadline(patience) {
                        try await reader.read { Array($0.span) }
                    }
                    #expect(rest == bytes("a line\n"))
                }
            }
        }

        @Test("ByteReader's own reads say the same as a connection's", arguments: Backend.all)
        func protocolReads(_ backend: Backend) async throws {
            @Sendable func parse(_ source: some ByteReader & Sendable) async throws -> [String] {
                var reader = source
                var parts: [String] = []
                parts.append(try await reader.readLine() ?? "none")
                parts.append(String(decoding: try await reader.read(exactly: 3), as: UTF8.self))
                let part = try await reader.read(until: UInt8(ascii: ";"), limit: 9)
                parts.append(String(decoding: part ?? [], as: UTF8.self))
                parts.append(try await reader.readLine(limit: 4) ?? "none")
                parts.append(try await reader.readLine() ?? "none")
                return parts
            }
            let text = "GET /\r\nabcdef;1234\r\n"
            let expected = ["GET /", "abc", "def", "1234", "none"]
            try await withServer(
                backend,
                { connection in
                    let parts = try await parse(connection.reader)
                    #expect(parts == expected)
                    try await connection.write("done")
                }
            ) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    for byte in text.utf8 {
                        try await connection.write([byte])
                        connection.flush()
                    }
                    try await connection.finishWriting()
                    let answer = try await readAll(connection)
                    #expect(answer == bytes("done"))
                }
            }
            let (reader, writer) = BytePipe.make(capacity: 3)
            async let parts = parse(reader)
            try await writer.write(bytes(text).span)
            try await writer.finishWriting()
            let got = try await parts
            #expect(got == expected)
        }

        @Test("nor does a ByteReader's own read that throws lose anything", arguments: everyWay)
        func protocolReadsThrow(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                try await connection.write("abcdef\nrest")
                try await connection.finishWriting()
                _ = try await readAll(connection)
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    try await expectNothingLost(connection.reader)
                }
            }
        }

        @Test("1,000 connections at once are each served", arguments: manyWays)
        func many(_ backend: Backend, _ tasks: Loop.Tasks) async {
            // By itself: its limit and its descriptors are of the whole process.
            await #expect(processExitsWith: .success) {
                [name = backend.name as String, prefers = (tasks == .onLoop) as Bool] in
                try await serveMany(Backend(name), prefers ? .onLoop : .isolatedOnly)
            }
        }
    }
}

private func serveMany(_ backend: Backend?, _ tasks: Loop.Tasks) async throws {
    let count = setting("SLUICE_TEST_CONNECTIONS", default: 1_000)
    allowAllDescriptors()
    let arrived = Count()
    let all = Gate()
    try await withServer(
        backend, tasks: tasks,
        options: { $0.listener.backlog = 4_096 },
        { connection in
            if arrived.add() == count { all.open() }
            try await echo(connection)
        }
    ) { loop, address in
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                group.addTask {
                    try await Client.connect(to: address, on: loop) { connection in
                        await all.wait()
                        let text = "\(number)\n"
                        try await connection.write(text)
                        let line = try await connection.readLine()
                        #expect(line == "\(number)")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(arrived.now == count)
    }
}

/// But for libevent's select(2), which cannot name so many descriptors.
private let manyWays = everyWay.filter { $0.0.name != "libevent:select" }

private func sum(of bytes: Span<UInt8>) -> Int {
    var sum = 0
    for index in bytes.indices { sum += Int(bytes[index]) }
    return sum
}

/// Has a client of an echo server say "a" and go on as `body` does, then ends the program.
private func withConversation(
    _ body: nonisolated(nonsending) @escaping @Sendable (Connection, Loop) async throws -> Void
) async throws {
    try await Server.run(
        on: "127.0.0.1:0",
        ready: { address in
            let text = address.description
            Task {
                do {
                    try await Client.connect(to: text) { connection in
                        try await connection.write("a")
                        try await body(connection, connection.loop)
                    }
                    exit(0)
                } catch {
                    exit(3)
                }
            }
        }, echo)
}
