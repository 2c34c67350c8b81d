import Glibc
import Sluice
import SystemPackage
import Testing

/// What a program may get wrong without anything unsafe. It costs it the connection or the program, and
/// never memory.
@Suite("Soundness", .serialized)
struct SoundnessTests {
    @Test(
        "a stream whose descriptor was closed elsewhere ends, and no other", arguments: Backend.all)
    func closedDescriptor(backend: Backend) async throws {
        // By itself, for the number may be another test's by then.
        await #expect(processExitsWith: .success) { [name = backend.name as String] in
            // A process's own machinery opens files, too. These are lower numbers, which it takes first.
            let lower = try (0..<20).map { _ in
                try FileDescriptor.open(FilePath("/dev/null"), .readOnly)
            }
            var loop = try EventLoop(Backend(name), options: .init(highMark: 1, lowMark: 1))
            let (_, near, _) = try loop.connectedPair()
            let (_, other, far) = try loop.connectedPair()
            loop.forward(from: near, to: near)
            let descriptor = loop.descriptor(of: near)
            for one in lower { try one.close() }
            try #require(descriptor).close()
            loop.write("xx", to: near)
            loop.flush(near)
            loop.write("hello", to: other)
            var received: [UInt8] = []
            var closed: [StreamID: StreamEnding] = [:]
            try loop.pull { event, loop in
                switch event {
                case .data(far, let bytes):
                    received.append(contentsOf: bytes)
                    if received.count == 5 { loop.close(other) }
                case .closed(let stream, let ending): closed[stream] = ending
                default: break
                }
                return closed.count == 4
            }
            #expect(received == bytes("hello"))
            #expect(closed[near]?.error == .badDescriptor)
            #expect(closed[other]?.error == nil && closed[far]?.error == nil)
        }
    }

    @Test("what is held may be forwarded to its own stream after a reset", arguments: Backend.all)
    func forwardToItself(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let listener = try loop.listen(on: "127.0.0.1:0")
        let peer = try FileDescriptor.connected(to: try loop.localAddress(of: listener).text)
        #expect(try peer.send([UInt8](repeating: 65, count: 20_000)) == 20_000)
        var stream: StreamID?
        var held = 0
        try loop.pull { event, loop in
            guard case .data(let received, let bytes) = event else { return false }
            stream = received
            held = bytes.count
            try loop.hold(last: held, of: received)
            return held == 20_000
        }
        let accepted = try #require(stream)
        // To close with input unread is to reset.
        loop.write("x", to: accepted)
        loop.flush(accepted)
        _ = try select(reading: [peer])
        try peer.close()
        loop.forward(from: accepted, to: accepted)
        try loop.pull { event, _ in
            guard case .closed(accepted, let ending) = event else { return false }
            #expect(ending.error != nil)
            return true
        }
    }

    @Test("afterFork without a fork is refused, while another thread posts", arguments: Backend.all)
    func afterForkWithoutAFork(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let poster = loop.poster
        let count: UInt64 = 20_000
        let posting = TestThread { for word in 0..<count { try? poster.post(word) } }
        for _ in 0..<2_000 {
            #expect(code { () throws(SluiceError) in try loop.afterFork() } == .wrongState)
        }
        var next: UInt64 = 0
        try loop.pull { event, _ in
            guard case .posted(let word) = event else { return false }
            #expect(word == next)
            next += 1
            return next == count
        }
        posting.join()
    }

    @Test("after a fork, parent and child have a loop each", arguments: Backend.all)
    func afterFork(backend: Backend) async {
        await #expect(processExitsWith: .success) { [name = backend.name as String] in
            var loop = try EventLoop(Backend(name))
            try loop.poster.post(1)
            let child = fork()
            if child == 0 {
                try loop.afterFork()
                #expect(code { () throws(SluiceError) in try loop.afterFork() } == .wrongState)
                try loop.poster.post(2)
                var words: [UInt64] = []
                try loop.pull { event, _ in
                    if case .posted(let word) = event { words.append(word) }
                    return words.last == 2
                }
                // What waited is the parent's.
                _exit(words == [2] ? 0 : 1)
            }
            #expect(status(of: child) == 0)
            #expect(try loop.next())
            try loop.expectQuiet()
        }
    }

    @Test("an address with a NUL is refused, and not taken for what stands before it")
    func nul() throws {
        let loop = try EventLoop()
        let text = "127.0.0.1:0\0.example.invalid:1"
        let path = "/tmp/sluice-soundness-tests-\(getpid()).sock"
        func isRefused(_ attempt: () throws(SluiceError) -> Void) -> Bool {
            code(of: attempt) == .badAddress
        }
        #expect(isRefused { () throws(SluiceError) in try loop.listen(on: text) })
        let unix = Address.unix("\(path)\0/not/this")
        #expect(isRefused { () throws(SluiceError) in try loop.listen(on: unix) })
        #expect(isRefused { () throws(SluiceError) in try loop.connect(to: text) })
        #expect(isRefused { () throws(SluiceError) in try loop.resolve(text) })
        #expect(isRefused { () throws(SluiceError) in _ = try FileDescriptor.listen(on: text) })
        #expect(isRefused { () throws(SluiceError) in _ = try FileDescriptor.connect(to: text) })
        let options = StreamOptions(source: Address(text))
        #expect(
            isRefused { () throws(SluiceError) in
                try loop.connect(to: "127.0.0.1:1", options: options)
            })
        #expect(unsafe access(path, F_OK) != 0)
        #expect(Address(text).problem == "the address contains a NUL; leave it out")
    }

    /// An actor hops from thread to thread, unless it has an executor of its own.
    private actor Actor {
        var loop: EventLoop
        init() throws { loop = try EventLoop() }
        func step() throws { _ = try loop.next(timeout: .zero) }
    }

    @Test("a loop in an actor ends the program on another thread, with a message")
    func actor() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            final class Box: @unchecked Sendable {
                var actor: Actor?
            }
            let box = Box()
            // On a thread of its own, so that no task runs there.
            TestThread { box.actor = try? Actor() }.join()
            try await box.actor?.step()
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("this EventLoop belongs to another thread"))
    }

    private final class Owner {
        var loop: EventLoop
        init() throws { loop = try EventLoop() }
        func serve() throws { try handle(loop) }
        func handle(_ loop: borrowing EventLoop) throws {
            guard case .data(_, let bytes) = loop.event else { return }
            _ = try self.loop.next()
            print(bytes.count)
        }
    }

    @Test("a pull that the compiler does not see, while an event is in hand, ends the program")
    func hiddenPull() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            let owner = try Owner()
            let (_, near, far) = try owner.loop.connectedPair()
            owner.loop.write("hello", to: near)
            try owner.loop.pull { event, _ in if case .data(far, _) = event { true } else { false }
            }
            try owner.serve()
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("Simultaneous accesses"))
    }

    @Test("loops that end on other threads leave no descriptors", arguments: Backend.all)
    func endsElsewhere(backend: Backend) async {
        await #expect(processExitsWith: .success) { [name = backend.name as String] in
            final class Box: @unchecked Sendable {
                var loop: EventLoop?
            }
            let before = openDescriptors()
            for _ in 0..<20 {
                let box = Box()
                do {
                    let loop = try EventLoop(Backend(name))
                    try loop.listen(on: "127.0.0.1:0")
                    try loop.connect(to: "127.0.0.1:1")
                    box.loop = consume loop
                }
                TestThread { box.loop = nil }.join()
            }
            // The test's own machinery may have some more.
            #expect(openDescriptors() < before + 20)
        }
    }
}
