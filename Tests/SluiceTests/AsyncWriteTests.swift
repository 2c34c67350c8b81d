import Glibc
import Sluice
import Synchronization
import SystemPackage
import Testing

extension AsyncTests {
    @Suite("Async writes", .timeLimit(.minutes(5)))
    struct AsyncWriteTests {
        @Test("each kind of write sends all bytes in order", arguments: everyWay)
        func kinds(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let large = pattern(700_001)
            let path = "/tmp/sluice-async-\(getpid())-\(backend.name)-\(tasks)"
            let file = unsafe try FileDescriptor.open(
                path, .readWrite, options: [.create, .truncate], permissions: .ownerReadWrite)
            defer {
                try? file.close()
                unsafe unlink(path)
            }
            try file.writeAll(large)
            let handler: Server.Handler = { connection in
                try await connection.write(bytes("span,").span)
                try await connection.write(bytes("array,"))
                try await connection.write("string,")
                try await connection.write(Bytes(bytes("bytes,")))
                try await connection.write(bytes("head+").span, then: bytes("body,").span)
                try connection.tryWrite(bytes("try,").span)
                try await connection.writer.write(bytes("half,"))
                try await connection.writer.write("text,")
                try await connection.write([])
                try await connection.write(large)
                try await connection.write(large.span, then: large.span)
                let sent = try await connection.send(file: file)
                #expect(sent == large.count)
                let part = try await connection.send(file: file, from: 3, count: 70_000)
                #expect(part == 70_000)
                let short = try await connection.send(file: file, from: 700_000, count: 70_000)
                #expect(short == 1, "the file is shorter")
                let none = try await connection.send(file: file, from: 0, count: 0)
                #expect(none == 0)
                await expectThrow(SluiceError.self) {
                    try await connection.send(file: FileDescriptor(rawValue: 999_999), count: 1)
                }
                try await connection.finishWriting()
                await expectThrow(SluiceError.self) { try await connection.write("more") }
                #expect(throws: SluiceError.self) { try connection.tryWrite(bytes("more").span) }
            }
            var expected = bytes("span,array,string,bytes,head+body,try,half,text,")
            for _ in 0..<4 { expected += large }
            expected += large[3..<70_003]
            expected += large[700_000...]
            let wanted = expected
            try await withServer(
                backend, tasks: tasks, options: { $0.onError = { Issue.record("\($1)") } }, handler
            ) { loop, address in
                let got = try await Client.connect(to: address, on: loop) { connection in
                    try await readAll(connection)
                }
                #expect(got.count == wanted.count)
                expectSame(got, wanted)
            }
        }

        @Test("all writes travel from off the loop", arguments: everyWay)
        func offLoop(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let large = pattern(300_000)
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    try await Task.detached {
                        async let back = readAll(connection)
                        try await connection.write("a")
                        try await connection.write(bytes("b"))
                        try await connection.write(bytes("c").span)
                        try await connection.write(bytes("d").span, then: bytes("e").span)
                        try await connection.writer.write(bytes("f").span)
                        try await connection.write(large.span)
                        connection.flush()
                        try await connection.finishWriting()
                        let got = try await back
                        #expect(got == bytes("abcdef") + large)
                    }.value
                }
            }
        }

        @Test("a writer waits where nobody reads, and is let go on", arguments: everyWay)
        func backpressure(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let written = Count()
            let block = [UInt8](repeating: 7, count: 65_536)
            let handler: Server.Handler = { connection in
                for _ in 0..<800 {
                    try await connection.write(block)
                    written.add(block.count)
                }
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    // Until nothing more goes.
                    var before = -1
                    while before != written.now {
                        before = written.now
                        try await loop.clock.sleep(for: .milliseconds(50))
                    }
                    #expect(before < 20_000_000, "nobody reads, and \(before) bytes are written")
                    var total = 0
                    while let count = try await connection.withNextBytes({ $0.count }) {
                        total += count
                    }
                    #expect(total == 800 * 65_536)
                }
            }
        }

        @Test("much through a slow reader takes bounded memory", arguments: Backend.all)
        func muchSlowly(_ backend: Backend) async throws {
            let megabytes = setting("SLUICE_TEST_MEGABYTES", default: 64)
            let block = pattern(1 << 20)
            let handler: Server.Handler = { connection in
                for _ in 0..<megabytes { try await connection.write(block) }
            }
            try await withServer(backend, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    var total = 0
                    var isRight = true
                    var most = 0
                    var pauses = 0
                    let before = residentBytes()
                    var resident = before
                    while let bytes = try await connection.next() {
                        isRight = isRight && follows(bytes.span, block, total)
                        total += bytes.count
                        most = max(most, bytes.count)
                        // Slow: each so often it is busy elsewhere, with the bytes in hand.
                        if total >> 20 > pauses {
                            pauses += 1
                            resident = max(resident, residentBytes())
                            try await loop.clock.sleep(for: .milliseconds(1))
                        }
                    }
                    #expect(total == megabytes << 20 && isRight)
                    #expect(most <= 1 << 20, "a read gave \(most) bytes at once")
                    // Of less, what a sanitizer keeps would be most.
                    if megabytes >= 1_024 {
                        #expect(resident - before < 32 << 20)
                    }
                }
            }
        }

        @Test(
            "two peers that both write before they read do not stop each other", arguments: everyWay
        )
        func bothWrite(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            // Each side's tasks: one that writes and one that reads.
            let all = pattern(8_000_000)
            let talk: Server.Handler = { connection in
                let reading = Task { try await readAll(connection) }
                try await connection.write(all)
                try await connection.finishWriting()
                let got = try await reading.value
                expectSame(got, all)
            }
            let isOver = Gate()
            let handler: Server.Handler = { connection in
                defer { isOver.open() }
                try await talk(connection)
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { try await talk($0) }
                // The end of a server gives what is in its kernel, and not what the client's still has.
                await isOver.wait()
            }
        }

        @Test(
            "a peer is read from while one's own write waits, up to one receive",
            arguments: everyWay)
        func writesFirst(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            // Both write first and then read, as much as fits into the kernel's buffers of one direction.
            let all = pattern(400_000)
            let talk: Server.Handler = { connection in
                try await connection.write(all)
                let got = try await connection.read(exactly: all.count)
                expectSame(got, all)
            }
            try await withServer(backend, tasks: tasks, talk) { loop, address in
                try await Client.connect(to: address, on: loop) { try await talk($0) }
            }
        }

        @Test("a write whose peer has gone throws, also while it waits", arguments: everyWay)
        func peerGoes(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let isFull = Gate()
            let ended = Gate()
            let handler: Server.Handler = { connection in
                isFull.open()
                await expectThrow(SluiceError.self) {
                    while true { try await connection.write([UInt8](repeating: 1, count: 100_000)) }
                }
                ended.open()
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    await isFull.wait()
                    try await loop.clock.sleep(for: .milliseconds(20))
                    connection.abort()
                    await expectThrow(SluiceError.self) {
                        while try await connection.next() != nil {}
                    }
                }
                await ended.wait()
            }
        }

        @Test("what is written after an end in order is told of a broken pipe", arguments: everyWay)
        func writesAfterTheEnd(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, { _ in }) { loop, address in
                for isAborted in [false, true] {
                    try await Client.connect(to: address, on: loop) { connection in
                        if isAborted {
                            connection.abort()
                        } else {
                            _ = try await connection.next()
                            try await connection.finishWriting()
                            while connection.localAddress != nil {
                                try await loop.clock.sleep(for: .milliseconds(1))
                            }
                        }
                        await expectBroken("a text") { try await connection.write("late") }
                        await expectBroken("two") {
                            let some = bytes("late")
                            try await connection.write(some.span, then: some.span)
                        }
                        await expectBroken("a try") {
                            let late = bytes("late")
                            try connection.tryWrite(late.span)
                        }
                        await expectBroken("a text tried") { try connection.tryWrite("late") }
                        await expectBroken("a file") {
                            let file = try FileDescriptor.open(
                                FilePath("/proc/self/exe"), .readOnly)
                            defer { try? file.close() }
                            try await connection.send(file: file)
                        }
                    }
                }
            }
        }

        @Test("a file whose peer resets says what a write does", arguments: everyWay)
        func fileIsReset(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let errors = Log<Errno?>()
            let ended = Gate()
            let handler: Server.Handler = { connection in
                defer { ended.open() }
                let path = "/tmp/sluice-\(getpid())-file-\(backend)-\(tasks)"
                let file = try FileDescriptor.open(
                    FilePath(path), .readWrite, options: [.create, .truncate],
                    permissions: .ownerReadWrite)
                unsafe unlink(path)
                defer { try? file.close() }
                ftruncate(file.rawValue, 50 << 20)
                do {
                    try await connection.send(file: file)
                } catch let error as SluiceError {
                    errors.append(error.code.errno)
                }
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    _ = try await connection.next()
                    connection.abort()
                }
                await ended.wait()
            }
            #expect(
                errors.all == [.connectionReset] || errors.all == [.brokenPipe], "\(errors.all)")
        }

        @Test("an abort ends whoever waits, from any thread", arguments: everyWay)
        func aborts(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(backend, tasks: tasks, echo) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let waits = Gate()
                    let reading = Task {
                        try await connection.withReaderOnLoop { reader in
                            waits.open()
                            _ = try await reader.read { $0.span.count }
                        }
                    }
                    await waits.wait()
                    Task.detached { connection.abort() }
                    await expectThrow(SluiceError.self) { try await reading.value }
                    connection.abort()
                    await expectThrow(SluiceError.self) { try await connection.readLine() }
                }
            }
        }

        @Test("a file of 20 MB goes through a slow reader whole", arguments: Backend.all)
        func file(_ backend: Backend) async throws {
            let path = "/tmp/sluice-async-file-\(getpid())-\(backend.name)"
            let file = unsafe try FileDescriptor.open(
                path, .readWrite, options: [.create, .truncate], permissions: .ownerReadWrite)
            defer {
                try? file.close()
                unsafe unlink(path)
            }
            let block = pattern(1 << 20)
            for _ in 0..<20 { try file.writeAll(block) }
            let handler: Server.Handler = { connection in
                let sent = try await connection.send(file: file)
                #expect(sent == 20 << 20)
                try await connection.write("end")
            }
            try await withServer(backend, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    var total = 0
                    var isRight = true
                    while total < 20 << 20 {
                        let bytes = try await connection.read(
                            atLeast: 1, atMost: (20 << 20) - total)
                        if bytes.isEmpty { break }
                        isRight = isRight && follows(bytes.span, block, total)
                        total += bytes.count
                    }
                    #expect(total == 20 << 20 && isRight)
                    let end = try await readAll(connection)
                    #expect(end == bytes("end"))
                }
            }
        }
    }
}

/// Whether the bytes are those of a block, again and again, from `offset` on.
func follows(_ bytes: Span<UInt8>, _ block: [UInt8], _ offset: Int) -> Bool {
    var at = 0
    while at < bytes.count {
        let place = (offset + at) % block.count
        let count = min(block.count - place, bytes.count - at)
        if !matches(bytes.extracting(at..<(at + count)), block, from: place) { return false }
        at += count
    }
    return true
}

extension Connection {
    /// For tasks that begin elsewhere.
    func withReaderOnLoop<Result: Sendable>(
        _ body: nonisolated(nonsending) @Sendable (Reader) async throws -> Result
    ) async throws -> Result {
        try await loop.run { try await self.withReader { try await body($0) } }
    }

    func withWriterOnLoop<Result: Sendable>(
        _ body: nonisolated(nonsending) @Sendable (Writer) async throws -> Result
    ) async throws -> Result {
        try await loop.run { try await self.withWriter { try await body($0) } }
    }
}

/// Expects that `body` throws a broken pipe.
private func expectBroken(
    _ what: String, _ place: SourceLocation = #_sourceLocation,
    isolation: isolated (any Actor)? = #isolation,
    _ body: nonisolated(nonsending) () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("\(what) was taken", sourceLocation: place)
    } catch let error as SluiceError {
        #expect(error.code.errno == .brokenPipe, "\(what): \(error)", sourceLocation: place)
    } catch {
        Issue.record("\(what): \(error)", sourceLocation: place)
    }
}
