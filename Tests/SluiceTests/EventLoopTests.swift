import Sluice
import SystemPackage
import Testing

@Suite("EventLoop", .serialized)
struct EventLoopTests {
    @Test("the six lines echo, and leak no stream", arguments: Backend.all)
    func echo(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let listener = try loop.listen(on: "127.0.0.1:0")
        let client = try loop.connect(to: try loop.localAddress(of: listener))
        loop.write("hello", to: client)
        loop.finishSending(on: client)
        var server: StreamID?
        var echoed: [UInt8] = []
        var closed: [StreamID: StreamEnding] = [:]
        try loop.pull { event, loop in
            switch event {
            case .accepted(let stream, by: listener): server = stream
            case .data(client, let bytes): echoed.append(contentsOf: bytes)
            case .data(let stream, let bytes): loop.write(bytes, to: stream)
            case .closed(let stream, let ending): closed[stream] = ending
            default: break
            }
            return closed.count == 2
        }
        #expect(echoed == bytes("hello"))
        #expect(closed[try #require(server)]?.error == nil)
        #expect(closed[client]?.error == nil)
        try loop.expectQuiet()
        #expect(loop.statistics.handles(.stream) == 0)
    }

    @Test("bytes arrive whole, in order, once, also those of a slow reader", arguments: Backend.all)
    func bulk(backend: Backend) throws {
        var options = EventLoop.Options()
        options.receiveSize = 8192
        options.highMark = 65_536
        var loop = try EventLoop(backend, options: options)
        let (_, near, far) = try loop.connectedPair()
        // More than the kernel holds, of a block whose length no size of a buffer divides.
        var sent = (0..<100_003).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        while sent.count < 20_000_000 { sent += sent }
        loop.write(sent, to: near)
        #expect(loop.pendingBytes(of: near) > 0)
        var received = 0
        var wasDrained = false
        var pieces = 0
        try loop.pull { event, loop in
            switch event {
            case .data(far, let bytes):
                #expect(matches(bytes, sent, from: received) == true)
                received += bytes.count
                pieces += 1
                // Each pause has the data wait for a timer.
                if pieces % 500 == 0 {
                    loop.pause(far)
                    try loop.addTimer(after: .milliseconds(1))
                }
            case .timer: loop.resume(far)
            case .drained(near): wasDrained = true
            default: Issue.record("unexpected: \(event.description)")
            }
            return received >= sent.count && wasDrained
        }
        #expect(received == sent.count)
        #expect(loop.pendingBytes(of: near) == 0)
    }

    @Test("nothing is the event before the first pull, and when the time is up")
    func nothing() throws {
        var loop = try EventLoop()
        #expect(loop.event.kind == .nothing)
        try loop.addTimer(after: .zero)
        #expect(try loop.next())
        #expect(loop.event.kind == .timer)
        let began = ContinuousClock.now
        #expect(try !loop.next(timeout: .milliseconds(3)))
        #expect(ContinuousClock.now - began >= .milliseconds(3))
        #expect(loop.event.kind == .nothing)
        #expect(try !loop.next(timeout: .seconds(-1)))
    }

    @Test("a stop ends one run, and the next goes on")
    func stop() throws {
        var loop = try EventLoop()
        var words: [UInt64] = []
        for word in 1...3 as ClosedRange<UInt64> { try loop.poster.post(word) }
        for _ in 1...3 {
            try loop.run { event, loop in
                if case .posted(let word) = event { words.append(word) }
                loop.stop()
            }
        }
        #expect(words == [1, 2, 3])
        loop.stop()
        #expect(try !loop.next())
    }

    @Test("a wake from another thread ends a pull and a run", arguments: Backend.all)
    func wake(backend: Backend) throws {
        let poster: EventLoop.Poster
        do {
            var loop = try EventLoop(backend)
            poster = loop.poster
            let waking = TestThread { [poster] in poster.wake() }
            #expect(try !loop.next())
            waking.join()
            let wakingAgain = TestThread { [poster] in poster.wake() }
            try loop.run { _, _ in Issue.record("an event that nobody made") }
            wakingAgain.join()
            // Events that are there come first, and wakes count as one.
            try poster.post(1)
            poster.wake()
            poster.wake()
            #expect(try loop.next())
            #expect(try !loop.next())
            try loop.expectQuiet()
        }
        // The loop is gone; there is nothing to wake.
        poster.wake()
    }

    @Test("a timer counts from a clock that was read anew")
    func updateNow() throws {
        let loop = try EventLoop()
        let before = loop.now
        let began = ContinuousClock.now
        while ContinuousClock.now - began < .milliseconds(2) {}
        #expect(loop.now == before)
        let updated = loop.updateNow()
        #expect(updated - before >= .milliseconds(2))
        #expect(loop.now == updated)
    }

    @Test("a signal that a handler took ends a wait, where that was asked for")
    func interruption() throws {
        let signals = StormOfSignals()
        defer { signals.end() }
        for backend in [Backend.select, .poll, .epoll] {
            var loop = try EventLoop(backend, options: .init(isInterruptible: true))
            #expect(
                code { () throws(SluiceError) in _ = try loop.next(timeout: patience) }
                    == .interrupted)
        }
        #if Libevent
            #expect(
                code { () throws(SluiceError) in
                    _ = try EventLoop(.libevent, options: .init(isInterruptible: true))
                } == .notSupported)
        #endif
    }

    @Test("a handler's error ends the run, and comes out as it is")
    func handlerThrows() throws {
        struct Mine: Error {}
        var loop = try EventLoop()
        try loop.poster.post(1)
        #expect(throws: Mine.self) { try loop.run { _, _ in throw Mine() } }
    }

    @Test("an unknown backend and a bad option are named")
    func badOptions() {
        #expect(
            code { () throws(SluiceError) in
                _ = try EventLoop(options: .init(highMark: 10, lowMark: 20))
            } == .badOption)
        do {
            _ = try EventLoop(options: .init(receiveSize: 0))
            Issue.record("a receive buffer of no size")
        } catch {
            #expect(error.code == .badOption)
            #expect("\(error)".contains("receiveSize: 0"))
        }
        #expect(
            code { () throws(SluiceError) in
                var loop = try EventLoop()
                try loop.listen(on: "127.0.0.1:0", options: .init(backlog: -1))
                _ = try loop.next()
            } == .badOption)
    }

    /// Only a lie brings a loop to another thread, and the loop sees through it.
    private final class Liar: @unchecked Sendable {
        var loop: EventLoop
        var results: [Bool] = []
        init() throws { loop = try EventLoop() }
    }

    @Test("a pull on another thread ends the program, with a message")
    func pullOnWrongThread() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            let liar = try Liar()
            TestThread { _ = try? liar.loop.next(timeout: .zero) }.join()
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("this EventLoop belongs to another thread"))
    }

    @Test("so does a question: none is answered by a zero or by no")
    func questionOnWrongThread() async {
        await #expect(processExitsWith: .failure) {
            let liar = try Liar()
            TestThread { _ = liar.loop.now }.join()
        }
        await #expect(processExitsWith: .failure) {
            let liar = try Liar()
            TestThread { _ = liar.loop.untilNext }.join()
        }
        await #expect(processExitsWith: .failure) {
            let liar = try Liar()
            let timer = try liar.loop.addTimer(after: .seconds(60))
            TestThread { _ = liar.loop.isLive(timer) }.join()
        }
        await #expect(processExitsWith: .failure) {
            let liar = try Liar()
            TestThread { liar.loop.write("x", to: StreamID(rawValue: 1)) }.join()
        }
        await #expect(processExitsWith: .failure) {
            let liar = try Liar()
            TestThread { _ = liar.loop.statistics }.join()
        }
    }

    @Test("a loop that is taken over serves its new thread")
    func takeOver() throws {
        let liar = try Liar()
        let timer = try liar.loop.addTimer(after: .seconds(60))
        TestThread {
            liar.loop.takeOver()
            liar.loop.updateNow()
            liar.results = [(try? liar.loop.next(timeout: .zero)) ?? true, liar.loop.close(timer)]
        }.join()
        #expect(liar.results == [false, true])
        liar.loop.takeOver()
        #expect(try !liar.loop.next(timeout: .zero))
    }

    @Test("counts what it does", arguments: Backend.all)
    func statistics(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        loop.write([UInt8](repeating: 1, count: 1000), to: near)
        _ = try loop.receive(1000, from: far)
        let statistics = loop.statistics
        #expect(statistics.bytesSent == 1000)
        #expect(statistics.bytesReceived == 1000)
        #expect(statistics.events(.accepted) == 1)
        #expect(statistics.events(.connected) == 1)
        #expect(statistics.events(.data) >= 1)
        #expect(statistics.events(.nothing) == 0)
        #expect(statistics.handles(.listener) == 1)
        #expect(statistics.handles(.stream) == 2)
        #expect(statistics.handles(.timer) == 0)
        #expect(statistics.turns > 0)
        #expect(statistics.sends >= 1)
        #expect(statistics.receives >= 1)
        #expect(statistics.accepts >= 1)
        #expect(statistics.longestGap > .zero)
    }

    @Test("can be waited for by another loop, over epoll", arguments: Backend.all)
    func embedding(backend: Backend) throws {
        var loop = try EventLoop(backend)
        #expect(loop.untilNext == nil)
        guard backend == .epoll else {
            #expect(
                code { () throws(SluiceError) in _ = try loop.backendDescriptor() }
                    == .notSupported)
            return
        }
        let descriptor = try loop.backendDescriptor()
        try loop.expectQuiet()
        #expect(try select(reading: [descriptor], timeout: .zero).readable.isEmpty)
        try loop.poster.post(1)
        #expect(try select(reading: [descriptor]).readable == [descriptor])
        #expect(try loop.next(timeout: .zero))
        #expect(loop.untilNext == .zero)
        try loop.expectQuiet()
        #expect(loop.untilNext == nil)
        try loop.addTimer(after: .seconds(100))
        let untilNext = loop.untilNext
        let left = try #require(untilNext)
        #expect(left > .seconds(50) && left <= .seconds(100))
    }
}
