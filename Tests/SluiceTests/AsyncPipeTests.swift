import Sluice
import Testing

extension AsyncTests {
    @Suite("Pipes of bytes in memory", .timeLimit(.minutes(5)))
    struct AsyncPipeTests {
        @Test("what is written is read, however small the pipe", arguments: [1, 2, 7, 65_536])
        func passes(_ capacity: Int) async throws {
            let (reader, writer) = BytePipe.make(capacity: capacity)
            let all = pattern(20_000)
            async let written: Void = {
                try await writer.write(all.span.extracting(..<10))
                try await writer.write(Array(all[10...]))
                try await writer.finishWriting()
            }()
            var got: [UInt8] = []
            var isOver = false
            while !isOver {
                isOver = try await reader.read(atMost: 100) { input in
                    #expect(input.span.count <= 100)
                    got.append(contentsOf: input.span)
                    input.consume(input.span.count)
                    return input.span.isEmpty
                }
            }
            try await written
            #expect(got == all)
            for _ in 0..<3 {
                let end = try await reader.read { ($0.span.count, $0.isLast) }
                #expect(end == (0, true))
            }
            await expectThrow(SluiceError.self) { try await writer.write("late") }
        }

        @Test("a writer waits for room")
        func capacity() async throws {
            let (reader, writer) = BytePipe.make(capacity: 4)
            let done = Count()
            let task = Task {
                try await writer.write("abcd")
                done.add()
                try await writer.write("e")
                done.add()
            }
            let first = await eventually { done.now == 1 }
            #expect(first)
            for _ in 0..<100 { await Task.yield() }
            #expect(done.now == 1)
            try await reader.read { $0.consume(1) }
            try await task.value
            let rest = try await reader.read { Array($0.span) }
            #expect(rest == bytes("bcde"))
        }

        @Test("what is not consumed comes again with more, also over the capacity")
        func untouched() async throws {
            let (source, writer) = BytePipe.make(capacity: 2)
            var reader = source
            let task = Task {
                try await writer.write("one line\nrest")
                try await writer.finishWriting()
            }
            let line = try await reader.readLine()
            #expect(line == "one line")
            var looks = 0
            while true {
                let (text, isLast) = try await reader.read { input in
                    (String(decoding: Array(input.span), as: UTF8.self), input.isLast)
                }
                looks += 1
                if isLast {
                    #expect(text == "rest")
                    break
                }
            }
            #expect(looks <= 5)
            let part = try await reader.read(atMost: 2) { input in
                let isLast = input.isLast
                input.consume(2)
                return isLast
            }
            #expect(!part, "two more follow")
            await expectThrow(UnexpectedEnd.self) { try await reader.readLine() }
            try await task.value
        }

        @Test("a read whose body throws leaves all for the next, which does not wait for more")
        func bodyThrows() async throws {
            let (reader, writer) = BytePipe.make()
            try await writer.write("a line\n")
            let line = await lineAfterThrow(reader)
            #expect(line == "a line")
        }

        @Test("a read that finds no end within its limit, or no end at all, loses nothing")
        func throwsAndLosesNothing() async throws {
            let (reader, writer) = BytePipe.make(capacity: 2)
            let written = Task {
                try await writer.write("abcdef\nrest")
                try await writer.finishWriting()
            }
            try await expectNothingLost(reader)
            try await written.value
        }

        @Test("a read that is cancelled has taken nothing", arguments: [false, true])
        func cancelledReads(isExact: Bool) async throws {
            let (source, writer) = BytePipe.make(capacity: 2)
            // More than it has room for is taken once a reader waits for more.
            let written = Task { try await writer.write("abc") }
            let read = Task {
                var reader = source
                if isExact { return try await reader.read(exactly: 4) as [UInt8]? }
                return try await reader.read(until: 0, limit: 9)
            }
            try await written.value
            read.cancel()
            await expectThrow(CancellationError.self) { try await read.value }
            // All comes again at once, and is not waited for.
            let rest = try await source.read { ($0.isLast, Array($0.span)) }
            #expect(rest == (false, bytes("abc")))
        }

        @Test(
            "an abort of one end is a reset at the other, which has what was there before",
            arguments: [false, true])
        func aborts(waits: Bool) async throws {
            let (source, writer) = BytePipe.make(capacity: 4)
            var reader = source
            if waits {
                let read = Task { try await source.read { $0.consume($0.span.count) } }
                let write = Task {
                    try await writer.write("ab")
                    try await read.value
                    // There is room for four of them.
                    try await writer.write("cdefgh")
                }
                try await read.value
                source.abort()
                await expectReset { try await write.value }
                try await expectAborted(writer)
                return
            }
            try await writer.write("abc")
            writer.abort()
            let there = try await reader.read(atMost: 2) { input in
                input.consume(1)
                return (input.isLast, Array(input.span))
            }
            #expect(there == (false, bytes("ab")))
            await expectReset { try await reader.readLine() }
            let rest = try await reader.read(exactly: 2)
            #expect(rest == bytes("bc"), "nothing is lost")
            for _ in 0..<3 { await expectReset { try await source.read { $0.span.count } } }
            try await expectAborted(writer)
        }

        @Test("an abort takes back no end that came before")
        func abortAfterEnd() async throws {
            let (source, writer) = BytePipe.make()
            try await writer.write("all")
            try await writer.finishWriting()
            writer.abort()
            var reader = source
            let all = try await reader.read(exactly: 3)
            #expect(all == bytes("all"))
            let end = try await reader.readLine()
            #expect(end == nil)
            await expectReset { try await writer.write("late") }
        }

        @Test("an abort ends a read that waits", arguments: [false, true])
        func abortEndsRead(byReader: Bool) async throws {
            let (reader, writer) = BytePipe.make()
            let read = Task { try await reader.read { $0.span.count } }
            for _ in 0..<5 { await Task.yield() }
            if byReader { reader.abort() } else { writer.abort() }
            await expectReset { try await read.value }
        }

        @Test("a read and a write are cancelled, and nothing is lost")
        func cancel() async throws {
            let (reader, writer) = BytePipe.make(capacity: 1)
            for _ in 0..<50 {
                let read = Task { try await reader.read { $0.span.count } }
                read.cancel()
                await expectThrow(CancellationError.self) { try await read.value }
            }
            try await writer.write("a")
            for round in 0..<50 {
                let write = Task { try await writer.write("b") }
                for _ in 0..<(round % 5) { await Task.yield() }
                write.cancel()
                await expectThrow(CancellationError.self) { try await write.value }
            }
            let got = try await reader.read { input in
                let bytes = Array(input.span)
                input.consume(bytes.count)
                return bytes
            }
            #expect(got == bytes("a"))
        }
    }
}

/// Expects that nothing can be written any more, and that an end does not hide why.
private func expectAborted(_ writer: BytePipe.Writer) async throws {
    await expectReset { try await writer.write("late") }
    try await writer.finishWriting()
    await expectReset { try await writer.write("late") }
}

/// Expects that `body` throws as over a connection that was reset.
private func expectReset<Result>(
    _ place: SourceLocation = #_sourceLocation, isolation: isolated (any Actor)? = #isolation,
    _ body: nonisolated(nonsending) () async throws -> Result
) async {
    do {
        _ = try await body()
        Issue.record("nothing was thrown", sourceLocation: place)
    } catch let error as SluiceError {
        #expect(error.code.errno == .connectionReset, "\(error)", sourceLocation: place)
    } catch {
        Issue.record("\(error) was thrown", sourceLocation: place)
    }
}

/// Expects of a reader of "abcdef\nrest" that what throws leaves all for the next read.
func expectNothingLost(
    _ source: some ByteReader & Sendable, _ place: SourceLocation = #_sourceLocation,
    isolation: isolated (any Actor)? = #isolation
) async throws {
    var reader = source
    await expectThrow(TooLong.self, "a line", place) { try await reader.readLine(limit: 5) }
    await expectThrow(TooLong.self, "up to a byte", place) {
        try await reader.read(until: 10, limit: 5)
    }
    let line = try await reader.readLine(limit: 6)
    #expect(line == "abcdef", sourceLocation: place)
    await expectThrow(UnexpectedEnd.self, "a line's end", place) { try await reader.readLine() }
    do {
        _ = try await reader.read(exactly: 5)
        Issue.record("there are four", sourceLocation: place)
    } catch let error as UnexpectedEnd {
        #expect(error == UnexpectedEnd(count: 4, wanted: 5), sourceLocation: place)
    }
    let none = try await reader.read(exactly: 0)
    #expect(none == [], sourceLocation: place)
    let rest = try await reader.read(exactly: 4)
    #expect(rest == bytes("rest"), sourceLocation: place)
    let end = try await reader.readLine()
    #expect(end == nil, sourceLocation: place)
}

/// The line that comes after a read that threw. `nil` where that has to wait for more.
func lineAfterThrow(_ source: some ByteReader & Sendable) async -> String? {
    let line = Task {
        var reader = source
        await expectThrow(TooLong.self) { try await reader.readLine(limit: 2) }
        return try await reader.readLine()
    }
    let end = Task {
        try await Task.sleep(for: patience)
        line.cancel()
    }
    defer { end.cancel() }
    return try? await line.value
}
