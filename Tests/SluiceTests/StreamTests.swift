import Glibc
import Sluice
import SystemPackage
import Testing

@Suite("Streams", .serialized)
struct StreamTests {
    @Test("bytes held come again, joined with what follows", arguments: Backend.all)
    func framing(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        let text = "one\ntwo\nthree\nand a rest"
        var unsent = bytes(text)[...]
        try loop.addTimer(after: .zero, every: .microseconds(200))
        var rest: [UInt8] = []
        var lines: [String] = []
        try loop.pull { event, loop in
            switch event {
            case .timer:
                // Three bytes at a time, so that no line comes in one piece.
                if !unsent.isEmpty {
                    loop.write(Array(unsent.prefix(3)), to: near)
                    unsent = unsent.dropFirst(3)
                    if unsent.isEmpty { loop.finishSending(on: near) }
                }
            case .data(far, let bytes):
                var copied: [UInt8] = []
                copied.append(contentsOf: bytes)
                let pieces = copied.split(
                    separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                lines += pieces.dropLast().map { String(decoding: $0, as: UTF8.self) }
                rest = Array(pieces.last!)
                try loop.hold(last: rest.count, of: far)
            case .endOfStream(far): return true
            default: break
            }
            return false
        }
        lines.append(String(decoding: rest, as: UTF8.self))
        #expect(lines == ["one", "two", "three", "and a rest"])
    }

    @Test("more than an event had cannot be held")
    func holdLimits() throws {
        var loop = try EventLoop()
        let (_, near, far) = try loop.connectedPair()
        #expect(code { () throws(SluiceError) in try loop.hold(last: 1, of: far) } == .wrongState)
        loop.write("abc", to: near)
        try loop.pull { event, loop in
            guard case .data(far, _) = event else { return false }
            #expect(
                code { () throws(SluiceError) in try loop.hold(last: 4, of: far) } == .noCapacity)
            #expect(
                code { () throws(SluiceError) in try loop.hold(last: -1, of: far) } == .noCapacity)
            return true
        }
    }

    @Test("a proxy passes on bytes and ends", arguments: Backend.all)
    func forwarding(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, client, inner) = try loop.connectedPair(
            .init(streams: .init(staysHalfOpen: true)))
        let (_, outer, server) = try loop.connectedPair(
            .init(streams: .init(staysHalfOpen: true)), .init(staysHalfOpen: true))
        loop.forward(from: inner, to: outer)
        loop.forward(from: outer, to: inner)
        let sent = [UInt8](repeating: 42, count: 300_000)
        loop.write(sent, to: client)
        loop.finishSending(on: client)
        var received: [UInt8] = []
        var ended = false
        try loop.pull { event, loop in
            switch event {
            case .data(server, let bytes): received.append(contentsOf: bytes)
            case .endOfStream(server):
                loop.write("answer", to: server)
                ended = true
            case .data(client, let bytes):
                received.append(contentsOf: bytes)
                return true
            case .data: Issue.record("unexpected: \(event.description)")
            default: break
            }
            return false
        }
        #expect(ended)
        #expect(received == sent + bytes("answer"))
    }

    @Test("all forms of a write send the same", arguments: Backend.all)
    func writes(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        let part = bytes("abc")
        var queue = try ByteQueue()
        try queue.append("de")
        try queue.append("f")
        loop.write(part.span, to: near)
        loop.write(part, to: near)
        loop.write(part[0..<3], to: near)
        loop.write("abc" as Substring, to: near)
        loop.write(part.span, then: part.span, to: near)
        loop.write(queue, to: near)
        #expect(queue.count == 3)
        #expect(loop.pendingBytes(of: near) == 21)
        loop.flush(near)
        #expect(loop.pendingBytes(of: near) == 0)
        #expect(try loop.receive(21, from: far) == bytes("abcabcabcabcabcabcdef"))
        #expect(loop.statistics.sends == 1)
    }

    @Test("a write over the hard limit ends that stream alone", arguments: Backend.all)
    func hardLimit(backend: Backend) throws {
        var loop = try EventLoop(
            backend, options: .init(highMark: 1000, lowMark: 100, hardLimit: 2000))
        let (listener, near, far) = try loop.connectedPair()
        let other = try loop.connect(to: loop.localAddress(of: listener))
        loop.write([UInt8](repeating: 1, count: 1500), to: near)
        #expect(loop.write([UInt8](repeating: 2, count: 501), to: near) == .full)
        #expect(loop.write("more", to: near) == .gone)
        var endings: [StreamID: StreamEnding] = [:]
        try loop.pull { event, _ in
            if case .closed(let stream, let ending) = event { endings[stream] = ending }
            return endings.count == 2
        }
        #expect(endings[near]?.error == .full)
        #expect(endings[near]?.unsentBytes == 1500)
        #expect(endings[far]?.error?.errno == .connectionReset)
        #expect(loop.write("more", to: near) == .gone)
        #expect(loop.write("hello", to: other) == .queued)
    }

    @Test("a write that is tried ends nothing", arguments: Backend.all)
    func tryWrite(backend: Backend) throws {
        var loop = try EventLoop(
            backend, options: .init(highMark: 1000, lowMark: 100, hardLimit: 2000))
        let (_, near, far) = try loop.connectedPair()
        let part = [UInt8](repeating: 1, count: 500)
        #expect(loop.tryWrite(part, to: near) == .queued)
        #expect(loop.tryWrite(part.span, to: near) == .queued)
        #expect(loop.tryWrite(part, to: near) == .aboveHighMark)
        #expect(loop.tryWrite(part + part, to: near) == .full)
        #expect(loop.tryWrite(String(repeating: "a", count: 501), to: near) == .full)
        #expect(loop.tryWrite(part, to: near) == .aboveHighMark)
        #expect(try loop.receive(2000, from: far) == part + part + part + part)
        loop.abort(near)
        #expect(loop.tryWrite("x", to: near) == .gone)
    }

    @Test("an abort because of what is no error is an abort all the same", arguments: Backend.all)
    func noReason(backend: Backend) throws {
        for code in [0, 5, CInt.max] {
            var loop = try EventLoop(backend)
            let (_, near, _) = try loop.connectedPair()
            #expect(loop.abort(near, because: SluiceError.Code(rawValue: code)) == true)
            try loop.pull { event, _ in
                guard case .closed(near, let how) = event else { return false }
                #expect(how.error == .aborted)
                return true
            }
        }
    }

    @Test("no call on a stream that is gone throws or does anything", arguments: Backend.all)
    func gone(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        #expect(loop.abort(near, because: .badFrame) == true)
        var ending: StreamEnding?
        try loop.pull { event, _ in
            guard case .closed(near, let how) = event else { return false }
            ending = how
            return true
        }
        #expect(ending?.error == .badFrame)
        for _ in 0..<2 {
            #expect(loop.write("x", to: near) == .gone)
            #expect(loop.write([1], to: near) == .gone)
            #expect(loop.flush(near) == false)
            #expect(loop.finishSending(on: near) == false)
            #expect(loop.pause(near) == false)
            #expect(loop.resume(near) == false)
            #expect(try loop.hold(last: 1, of: near) == false)
            #expect(loop.forward(from: near, to: far) == false)
            #expect(loop.forward(from: far, to: near) == false)
            #expect(loop.stopForwarding(from: near) == false)
            #expect(loop.close(near) == false)
            #expect(loop.abort(near) == false)
            #expect(loop.isLive(near) == false)
            #expect(loop.setUserWord(1, of: near) == false)
            #expect(loop.userWord(of: near) == nil)
            #expect(loop.pendingBytes(of: near) == 0)
            #expect(loop.localAddress(of: near) == nil)
            #expect(loop.peerAddress(of: near) == nil)
            #expect(loop.descriptor(of: near) == nil)
        }
    }

    @Test("a write says when its stream is over the high mark", arguments: Backend.all)
    func highMark(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair(.init(), .init(highMark: 1000, lowMark: 100))
        let part = [UInt8](repeating: 1, count: 600)
        #expect(loop.write(part, to: near) == .queued)
        #expect(loop.write(part.span, to: near) == .aboveHighMark)
        #expect(
            loop.write(part.span, then: part.span, to: near) == .aboveHighMark)
        var queue = try ByteQueue()
        try queue.append("more")
        #expect(loop.write(queue, to: near) == .aboveHighMark)
        try loop.pull { event, _ in
            if case .drained(near) = event { true } else { false }
        }
        #expect(loop.write("less", to: near) == .queued)
        _ = try loop.receive(2408, from: far)
    }

    @Test("marks of a stream that are out of their range are named")
    func badMarks() throws {
        let loop = try EventLoop()
        #expect(
            code { () throws(SluiceError) in
                try loop.connect(to: "127.0.0.1:1", options: .init(highMark: 10, lowMark: 20))
            } == .badOption)
        do {
            try loop.listen(on: "127.0.0.1:0", options: .init(streams: .init(highMark: 0)))
            Issue.record("a high mark of nothing")
        } catch {
            #expect(error.code == .badOption)
            #expect("\(error)".contains("highMark: 0"))
        }
    }

    @Test("over its high mark an accepted stream is not read from", arguments: Backend.all)
    func throttling(backend: Backend) throws {
        // More than the kernel takes for a peer that does not read.
        let big = [UInt8](repeating: 1, count: 20_000_000)
        for (isThrottled, isHeard) in [(nil, false), (true, false), (false, true)] {
            var loop = try EventLoop(backend)
            let options = StreamOptions(isThrottled: isThrottled)
            let listener = try loop.listen(on: "127.0.0.1:0", options: .init(streams: options))
            let peer = try FileDescriptor.connect(to: loop.localAddress(of: listener).text)
            defer { try? peer.close() }
            var accepted: StreamID?
            try loop.pull { event, loop in
                guard case .accepted(let stream, _) = event else { return false }
                let result = loop.write(big, to: stream)
                #expect(result == .aboveHighMark)
                accepted = stream
                return true
            }
            _ = try peer.send(bytes("hello"))
            let descriptor = loop.descriptor(of: try #require(accepted))
            _ = try select(reading: [try #require(descriptor)])
            if isHeard {
                #expect(try loop.receive(5, from: try #require(accepted)) == bytes("hello"))
            } else {
                try loop.expectQuiet()
            }
        }
    }

    @Test("over its high mark an adopted stream is read from", arguments: Backend.all)
    func adoptedIsNotThrottled(backend: Backend) throws {
        let big = [UInt8](repeating: 1, count: 20_000_000)
        for (isThrottled, isHeard) in [(nil, true), (true, false), (false, true)] {
            let pair = try Pair()
            var loop = try EventLoop(backend)
            let stream = try loop.adopt(
                try pair.near.duplicate(), options: .init(isThrottled: isThrottled))
            #expect(loop.write(big, to: stream) == .aboveHighMark)
            _ = try pair.far.send(bytes("hello"))
            _ = try select(reading: [pair.near])
            if isHeard {
                #expect(try loop.receive(5, from: stream) == bytes("hello"))
            } else {
                try loop.expectQuiet()
            }
        }
    }

    @Test("a peer that is gone costs a write and no error", arguments: Backend.all)
    func brokenConnection(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let listener = try FileDescriptor.listen(on: "unix:@sluice-stream-tests-\(getpid())")
        let near = try FileDescriptor.connect(to: try listener.localAddress())
        try #require(try listener.accept()).close()
        try listener.close()
        let stream = try loop.adopt(near)
        let big = [UInt8](repeating: 1, count: 100_000)
        #expect(loop.write(big, to: stream) == .gone)
        #expect(loop.write("x", to: stream) == .gone)
        loop.flush(stream)
        loop.finishSending(on: stream)
        try loop.pull { event, _ in
            guard case .closed(stream, let ending) = event else { return false }
            #expect(ending.error?.errno == .brokenPipe)
            return true
        }
        #expect(loop.write("x", to: stream) == .gone)
    }

    @Test("an abort says what was not sent, and the peer sees the end", arguments: Backend.all)
    func abort(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        loop.pause(far)
        let count = 20_000_000
        loop.write([UInt8](repeating: 1, count: count), to: near)
        loop.abort(near)
        loop.resume(far)
        var endings: [StreamID: StreamEnding] = [:]
        try loop.pull { event, _ in
            if case .closed(let stream, let ending) = event { endings[stream] = ending }
            return endings.count == 2
        }
        #expect(endings[near]?.error?.errno == .connectionAbort)
        #expect(try #require(endings[near]).unsentBytes > 0)
        #expect(loop.write("x", to: near) == .gone)
    }

    @Test("a connect that is refused is a close that says so", arguments: Backend.all)
    func refused(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let listener = try loop.listen(on: "\(ownHost()):0")
        let address = try loop.localAddress(of: listener)
        loop.close(listener)
        let stream = try loop.connect(to: address)
        try loop.pull { event, _ in
            guard case .closed(stream, let ending) = event else { return false }
            #expect(ending.error?.errno == .connectionRefused)
            #expect("\(ending)" == "ECONNREFUSED, 0 bytes unsent")
            return true
        }
    }

    @Test("a silent stream ends when its time is up", arguments: Backend.all)
    func idleTimeout(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let listener = try loop.listen(
            on: "127.0.0.1:0", options: .init(streams: .init(idleTimeout: .milliseconds(5))))
        try loop.connect(to: try loop.localAddress(of: listener))
        var far: StreamID?
        try loop.pull { event, _ in
            switch event {
            case .accepted(let stream, by: listener): far = stream
            case .closed(let stream, let ending):
                // On a busy machine it may be over before the caller is told that it has connected.
                #expect(stream == far)
                #expect(ending.error?.errno == .timedOut)
                return true
            default: break
            }
            return false
        }
    }

    @Test("half-open streams outlive their peer's end", arguments: Backend.all)
    func halfOpen(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair(
            .init(streams: .init(staysHalfOpen: true)))
        loop.finishSending(on: near)
        #expect(loop.write("x", to: near) == .gone)
        try loop.pull { event, _ in
            if case .endOfStream(far) = event { true } else { false }
        }
        loop.write("late", to: far)
        #expect(try loop.receive(4, from: near) == bytes("late"))
        loop.close(far)
        var closed = 0
        try loop.pull { event, _ in
            if case .closed = event { closed += 1 }
            return closed == 2
        }
    }

    @Test("a listener stops at its limit, says so, and goes on", arguments: Backend.all)
    func connectionLimit(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let listener = try loop.listen(on: "127.0.0.1:0", options: .init(connectionLimit: 1))
        let address = try loop.localAddress(of: listener)
        let clients = [try loop.connect(to: address), try loop.connect(to: address)]
        var accepted: [StreamID] = []
        var overloads = 0
        try loop.pull { event, loop in
            switch event {
            case .accepted(let stream, by: listener):
                accepted.append(stream)
                #expect(accepted.count == overloads + 1)
            case .overloaded(listener, _):
                overloads += 1
                if accepted.count == 1 { loop.close(accepted[0]) }
            default: break
            }
            return accepted.count == 2
        }
        #expect(overloads == 1)
        #expect(Set(clients).count == 2)
    }

    @Test("a socket can be adopted, and is the loop's then", arguments: Backend.all)
    func adoption(backend: Backend) throws {
        let pair = try Pair()
        var loop = try EventLoop(backend)
        let copy = try pair.near.duplicate()
        let stream = try loop.adopt(copy)
        #expect(loop.descriptor(of: stream) == copy)
        #expect(try loop.peerAddress(of: stream)?.text == pair.far.localAddress())
        _ = try pair.far.send(bytes("hi"))
        #expect(try loop.receive(2, from: stream) == bytes("hi"))
        loop.abort(stream)
        try loop.pull { event, _ in
            if case .closed(stream, _) = event { true } else { false }
        }
        // No number that was in use before: other tests, at the same time, may have it by now.
        let bad = FileDescriptor(rawValue: 1_000_000_000)
        #expect(code { () throws(SluiceError) in try loop.adopt(bad) } == .badDescriptor)
    }

    @Test("addresses are texts with parts")
    func addresses() throws {
        #expect(Address.ipv4("127.0.0.1", port: 80) == "127.0.0.1:80")
        #expect(Address.ipv6("fe80::1%eth0", port: 80).text == "[fe80::1%eth0]:80")
        #expect(Address.unix("/run/x").text == "unix:/run/x")
        #expect(Address.abstract("x").text == "unix:@x")
        #expect(("[::1]:8080" as Address).port == 8080)
        #expect(Address.unix("/a:80").port == nil)
        let port = 99
        #expect(("127.0.0.1:\(port)" as Address).port == 99)
        let loop = try EventLoop()
        let listener = try loop.listen(on: "127.0.0.1:0")
        #expect(try #require(try loop.localAddress(of: listener).port) != 0)
        try loop.listen(on: "localhost:0")
        do {
            try loop.listen(on: "no address")
            Issue.record("what is no address was taken")
        } catch {
            #expect(error.code == .badAddress)
            #expect("\(error)".hasPrefix("listen on \"no address\": "))
        }
    }

    @Test("what is wrong with an address has a code and a sentence")
    func badAddresses() throws {
        let loop = try EventLoop()
        let cases: [(Address, SluiceError.Code)] = [
            ("127.0.0.1:99999", .badPort), ("unix:", .badPath), ("[fe80::1%nowhere]:80", .badScope),
            ("*", .badPort),
        ]
        for (address, expected) in cases {
            #expect(
                code { () throws(SluiceError) in try loop.listen(on: address) } == expected,
                "\(address)")
            #expect(address.problem != nil, "\(address)")
        }
        #expect(code { () throws(SluiceError) in try loop.connect(to: "*:80") } == .notNumeric)
        #expect(("127.0.0.1:80" as Address).problem == nil)
        #expect(
            ("127.0.0.1:99999" as Address).problem
                == "the port 99999 is out of range: 65535 is the highest")
    }

    @Test("no stream is made of a socket that listens")
    func listeningSocket() throws {
        let listener = try FileDescriptor.listen(on: "127.0.0.1:0")
        defer { try? listener.close() }
        let loop = try EventLoop()
        #expect(
            code { () throws(SluiceError) in try loop.adopt(listener) } == .listeningSocket)
    }
}
