import Sluice
import SystemPackage
import Testing

extension AsyncTests {
    @Suite("Async frames", .timeLimit(.minutes(5)))
    struct AsyncFrameTests {
        /// How something is framed: what the peer sends, and what comes of it, with how it ends.
        struct Case: Sendable {
            let name: String
            let framing: Framing
            let sent: [UInt8]
            let frames: [String]
            var end: (any Error & Sendable)?

            init(
                _ name: String, _ framing: Framing, _ sent: String, _ frames: [String],
                _ end: (any Error & Sendable)? = nil
            ) {
                self.init(name, framing, bytes(sent), frames, end)
            }

            init(
                _ name: String, _ framing: Framing, _ sent: [UInt8], _ frames: [String],
                _ end: (any Error & Sendable)? = nil
            ) {
                self.name = name
                self.framing = framing
                self.sent = sent
                self.frames = frames
                self.end = end
            }
        }

        static let cases: [Case] = [
            Case("lines", .lines(), "a\nbc\r\n\n\r\nlast", ["a", "bc", "", "", "last"]),
            Case("no line", .lines(), "", []),
            Case("a line of the limit", .lines(limit: 3), "abc\r\nabc\n", ["abc", "abc"]),
            Case(
                "a line over it", .lines(limit: 3), "abc\nabcd\n", ["abc"], TooLong(limit: 3)),
            Case("delimited", .delimited(by: "--"), "a--b-c----", ["a", "b-c", ""]),
            Case(
                "a delimiter that is missing", .delimited(by: "--"), "a--b-", ["a"],
                UnexpectedEnd(count: 2)),
            Case("a rest", .delimited(by: ";", takesRest: true), "a;b", ["a", "b"]),
            Case("of a size", .fixed(3), "abcdef", ["abc", "def"]),
            Case(
                "of a size, cut off", .fixed(3), "abcde", ["abc"],
                UnexpectedEnd(count: 2, wanted: 3)),
            Case(
                "by length", .length(2), [0, 3, 97, 98, 99, 0, 0, 0, 1, 100], ["abc", "", "d"]),
            Case(
                "by a little-endian length that counts itself",
                .length(2, .littleEndian, countsItself: true), [5, 0, 97, 98, 99, 2, 0],
                ["abc", ""]),
            Case(
                "by length, cut off", .length(2), [0, 1, 97, 0, 3, 98], ["a"],
                UnexpectedEnd(count: 3, wanted: 5)),
            Case(
                "a length over the limit", .length(1, limit: 2), [1, 97, 3, 98, 99, 100], ["a"],
                TooLong(limit: 2)),
        ]

        @Test("frames are cut, however they come", arguments: everyWay)
        func cut(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(
                backend, tasks: tasks,
                { connection in
                    let head = try await connection.read(exactly: 2)
                    let test = Self.cases[Int(head[0])]
                    for start in stride(from: 0, to: test.sent.count, by: Int(head[1])) {
                        let end = min(start + Int(head[1]), test.sent.count)
                        try await connection.write(Array(test.sent[start..<end]))
                        connection.flush()
                        if head[1] < 200 { try await connection.loop.clock.sleep(for: .zero) }
                    }
                    try await connection.finishWriting()
                    _ = try await readAll(connection)
                }
            ) { loop, address in
                for (number, test) in Self.cases.enumerated() {
                    for piece in [UInt8(1), 2, 200] {
                        try await Client.connect(to: address, on: loop) { connection in
                            try await connection.write([UInt8(number), piece])
                            var got: [String] = []
                            var end: (any Error)?
                            do {
                                for try await frame in connection.frames(by: test.framing) {
                                    #expect(loop.isCurrent)
                                    got.append(frame.description)
                                }
                            } catch {
                                end = error
                            }
                            #expect(got == test.frames, "\(test.name), by \(piece)")
                            #expect(
                                end.map { "\($0)" } == test.end.map { "\($0)" }, "\(test.name)")
                        }
                    }
                }
            }
        }

        @Test("a length that cannot be is an error, and what there is stays", arguments: everyWay)
        func badLength(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            try await withServer(
                backend, tasks: tasks,
                { connection in
                    try await connection.write([0, 1, 97])
                    try await connection.finishWriting()
                    _ = try await readAll(connection)
                }
            ) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let framing = Framing.length(2, countsItself: true)
                    do {
                        for try await _ in connection.frames(by: framing) {}
                        Issue.record("there is no such frame")
                    } catch let error as SluiceError {
                        #expect(error.code == .badFrame)
                    }
                    let rest = try await readAll(connection)
                    #expect(rest == [0, 1, 97])
                }
            }
        }

        @Test("a body may be read behind a frame that is its head", arguments: everyWay)
        func head(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                for try await head in connection.frames(by: .delimited(by: "\r\n\r\n")) {
                    let count = Int(head.description) ?? 0
                    let body = try await connection.read(exactly: count)
                    try await connection.write(body + [10])
                }
            }
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    let large = String(repeating: "x", count: 100_000)
                    try await connection.write("3\r\n\r\nabc0\r\n\r\n100000\r\n\r\n\(large)")
                    try await connection.finishWriting()
                    var lines: [String] = []
                    for try await line in connection.frames(by: .lines(limit: 200_000)) {
                        lines.append(line.description)
                    }
                    #expect(lines == ["abc", "", large])
                }
            }
        }

        @Test("a frame is lent, and copied elsewhere", arguments: everyWay)
        func lent(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let handler: Server.Handler = { connection in
                // Each is echoed from where it lies, also after a wait.
                for try await frame in connection.frames(by: .fixed(250)) {
                    let before = frame.array
                    try await connection.loop.clock.sleep(for: .microseconds(100))
                    #expect(frame.array == before)
                    try await connection.write(frame)
                }
            }
            let all = pattern(5_000)
            try await withServer(backend, tasks: tasks, handler) { loop, address in
                try await Client.connect(to: address, on: loop) { connection in
                    try await connection.write(all)
                    var got: [UInt8] = []
                    for try await frame in connection.frames(by: .fixed(10)).prefix(200) {
                        got += frame.array
                    }
                    #expect(got.count == 2_000)
                    let elsewhere = Task.detached {
                        var got: [UInt8] = []
                        let frames = connection.frames(by: .fixed(100)).map { $0.array }
                        for try await frame in frames.prefix(30) { got += frame }
                        return got
                    }
                    got += try await elsewhere.value
                    #expect(got == all)
                }
            }
        }

        @Test("half a line at a server's shutdown is no line", arguments: everyWay)
        func shutdown(_ backend: Backend, _ tasks: Loop.Tasks) async throws {
            let errors = Log<Bool>()
            let sockets = Log<FileDescriptor>()
            let hasRead = Gate()
            try await withServer(
                backend, tasks: tasks,
                options: { $0.onError = { errors.append($1 is UnexpectedEnd) } },
                { connection in
                    for try await line in connection.frames(by: .lines()) {
                        try await connection.write(line)
                        connection.flush()
                        hasRead.open()
                    }
                }
            ) { loop, address in
                let socket = try FileDescriptor.connected(to: address)
                sockets.append(socket)
                _ = try socket.send(bytes("one\ntw"))
                await hasRead.wait()
            }
            for socket in sockets.all { try socket.close() }
            #expect(errors.all == [true])
        }
    }
}
