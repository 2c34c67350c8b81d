import Glibc
import Sluice
import Synchronization
import SystemPackage
import Testing

@Suite("LoopThread", .serialized)
struct LoopThreadTests {
    private struct Mine: Error, Equatable {
        var number: Int
    }

    @Sendable private static func echo(_ loop: inout EventLoop) throws {
        try loop.run { event, loop in
            if case .data(let stream, let bytes) = event { loop.write(bytes, to: stream) }
        }
    }

    /// What comes back of a text that is sent to an address.
    private func echoed(_ text: String, _ address: Address) throws -> String {
        var loop = try EventLoop()
        let stream = try loop.connect(to: address)
        loop.write(text, to: stream)
        return String(decoding: try loop.receive(text.utf8.count, from: stream), as: UTF8.self)
    }

    @Test("serves on a thread of its own, until it is woken", arguments: Backend.all)
    func serves(backend: Backend) throws {
        let loop = try EventLoop(backend)
        let address = try loop.localAddress(of: try loop.listen(on: "127.0.0.1:0"))
        let thread = try LoopThread(loop, Self.echo)
        #expect(try echoed("hello", address) == "hello")
        thread.poster.wake()
        try thread.join()
        try thread.join()
        #expect(code { () throws(SluiceError) in try thread.poster.post(1) } == .stale)
    }

    @Test("a join gives the error of the body, each time")
    func failure() throws {
        let thread = try LoopThread(EventLoop()) { _ in throw Mine(number: 7) }
        #expect(throws: Mine(number: 7)) { try thread.join() }
        #expect(throws: Mine(number: 7)) { try thread.join() }
    }

    @Test("a thread that waits for its own end ends the program")
    func ownEnd() async {
        await #expect(processExitsWith: .failure) {
            let own = Mutex<LoopThread?>(nil)
            let thread = try LoopThread(EventLoop()) { loop in
                _ = try loop.next()
                try own.withLock { $0 }?.join()
                exit(0)
            }
            own.withLock { $0 = thread }
            thread.poster.wake()
            while true { pause() }
        }
    }

    @Test("four at one port 0 serve a hundred callers, each whole", arguments: Backend.all)
    func several(backend: Backend) throws {
        let served = Counts()
        let (threads, address) = try LoopThread.start(4, listeningOn: "127.0.0.1:0", backend) {
            loop in
            var own = 0
            try loop.run { event, loop in
                switch event {
                case .accepted: own += 1
                case .data(let stream, let bytes): loop.write(bytes, to: stream)
                default: break
                }
            }
            served.bodies.add(1, ordering: .relaxed)
            served.callers.add(own, ordering: .relaxed)
        }
        #expect(threads.count == 4)
        #expect(address.port != 0)
        var loop = try EventLoop(backend)
        var answers: [StreamID: String] = [:]
        for number in 0..<100 {
            let stream = try loop.connect(to: address)
            loop.write("caller \(number)", to: stream)
            loop.finishSending(on: stream)
            answers[stream] = "caller \(number)"
        }
        let received = PerStream<[UInt8]>(in: loop)
        var closed = 0
        try loop.pull { event, _ in
            switch event {
            case .data(let stream, let bytes):
                received[stream, default: []].append(contentsOf: bytes)
            case .closed(let stream, let ending):
                #expect(ending.error == nil)
                #expect(received[stream] == answers[stream].map(bytes))
                closed += 1
            default: break
            }
            return closed == 100
        }
        for thread in threads { thread.poster.wake() }
        for thread in threads { try thread.join() }
        #expect(served.bodies.load(ordering: .relaxed) == 4)
        #expect(served.callers.load(ordering: .relaxed) == 100)
    }

    private final class Counts: Sendable {
        let bodies = Atomic(0)
        let callers = Atomic(0)
    }

    @Test("where one cannot listen, no body runs and no descriptor is left")
    func cannotListen() async {
        await #expect(processExitsWith: .success) {
            let taken = try FileDescriptor.listen(on: "127.0.0.1:0")
            let address = try taken.localAddress()
            let before = openDescriptors()
            func start(_ address: String) -> SluiceError.Code? {
                code { () throws(SluiceError) in
                    _ = try LoopThread.start(4, listeningOn: address) { _ in exit(1) }
                }
            }
            for _ in 0..<10 {
                #expect(start(address)?.errno == .addressInUse)
                #expect(start("nonsense") == .badPort)
            }
            let after = openDescriptors()
            // The test's own machinery may have some more.
            #expect(after < before + 10)
        }
    }

    @Test("a unix socket is one thread's, and who wants more is told")
    func unix() throws {
        let name = "unix:@sluice-loop-thread-tests-\(getpid())"
        let error = #expect(throws: SluiceError.self) {
            _ = try LoopThread.start(4, listeningOn: name) { loop in try Self.echo(&loop) }
        }
        #expect(error?.code == .badOption)
        #expect(
            error?.description
                == "start 4 threads that listen on \"\(name)\": a unix socket is of one"
                + " loop; start 1 thread, or listen on an address with a port (SLUICE_EOPTION)")
        let (threads, address) = try LoopThread.start(1, listeningOn: name) { loop in
            try Self.echo(&loop)
        }
        #expect(try echoed("hello", address) == "hello")
        for thread in threads {
            thread.poster.wake()
            try thread.join()
        }
    }

    @Test("one that nobody joins goes on by itself, and ends by itself")
    func notJoined() throws {
        let loop = try EventLoop()
        let address = try loop.localAddress(of: try loop.listen(on: "127.0.0.1:0"))
        let poster = try LoopThread(loop, Self.echo).poster
        #expect(try echoed("still there", address) == "still there")
        poster.wake()
        while (try? poster.post(1)) != nil { sched_yield() }
    }

    @Test("the loop ends on its thread, and leaves no descriptor")
    func descriptors() async {
        await #expect(processExitsWith: .success) {
            let before = openDescriptors()
            for _ in 0..<10 {
                let loop = try EventLoop()
                try loop.listen(on: "127.0.0.1:0")
                let thread = try LoopThread(loop) { loop in _ = try loop.next(timeout: .zero) }
                try thread.join()
            }
            #expect(openDescriptors() < before + 10)
        }
    }
}

/// How many descriptors are open, of the first thousand.
func openDescriptors() -> Int {
    (0..<1000).count { fcntl(CInt($0), F_GETFD) >= 0 }
}
