import Glibc
import Sluice
import Synchronization
import SystemPackage
import Testing

@Suite("Poller", .serialized)
struct PollerTests {
    @Test("reports what is ready, with its user word", arguments: Backend.all)
    func reportsReadiness(backend: Backend) throws {
        let pair = try Pair()
        var poller = try Poller(backend)
        #expect(poller.backend == backend)
        try poller.add(pair.near, interest: .read, user: 42)
        #expect(try poller.wait(timeout: .zero) == 0)
        expectNoEvent(of: &poller)

        _ = try pair.far.send(bytes("hello"))
        #expect(try poller.wait() == 1)
        let event = try nextEvent(of: &poller)
        #expect(event.descriptor == pair.near)
        #expect(event.readiness == .read)
        #expect(event.user == 42)
        expectNoEvent(of: &poller)
    }

    @Test("an empty interest is silent until modified", arguments: Backend.all)
    func emptyInterestIsSilent(backend: Backend) throws {
        let pair = try Pair()
        var poller = try Poller(backend)
        try poller.add(pair.near, interest: [])
        _ = try pair.far.send(bytes("hello"))
        _ = try select(reading: [pair.near])
        #expect(try poller.wait(timeout: .zero) == 0)
        try poller.modify(pair.near, interest: [.read, .write], user: 7)
        #expect(try poller.wait(timeout: .zero) == 1)
        let event = try nextEvent(of: &poller)
        #expect(event.readiness == [.read, .write])
        #expect(event.user == 7)
    }

    @Test("a one-shot interest fires once", arguments: Backend.all)
    func oneShotFiresOnce(backend: Backend) throws {
        let pair = try Pair()
        var poller = try Poller(backend)
        #expect(poller.features.contains(.oneShot))
        try poller.add(pair.near, interest: [.write, .oneShot])
        #expect(try poller.wait(timeout: .zero) == 1)
        #expect(try poller.wait(timeout: .zero) == 0)
        try poller.modify(pair.near, interest: [.write, .oneShot])
        #expect(try poller.wait(timeout: .zero) == 1)
    }

    @Test("an edge fires once for each change, or is refused", arguments: Backend.all)
    func edge(backend: Backend) throws {
        let pair = try Pair()
        var poller = try Poller(backend)
        guard poller.features.contains(.edge) else {
            #expect(throws: SluiceError.self) {
                try poller.add(pair.near, interest: [.read, .edge])
            }
            #expect(
                code { () throws(SluiceError) in
                    try poller.add(pair.near, interest: [.read, .edge])
                } == .notSupported)
            return
        }
        try poller.add(pair.near, interest: [.read, .edge])
        _ = try pair.far.send(bytes("1"))
        #expect(try poller.wait() == 1)
        #expect(try poller.wait(timeout: .zero) == 0)
        _ = try pair.far.send(bytes("2"))
        #expect(try poller.wait() == 1)
    }

    @Test("an event of a registration removed since is passed over", arguments: Backend.all)
    func removalWithinABatch(backend: Backend) throws {
        let (first, second, third) = (try Pair(), try Pair(), try Pair())
        var poller = try Poller(backend)
        let all = [first.near, second.near, third.near]
        for descriptor in all { try poller.add(descriptor, interest: .write, user: 1) }
        #expect(try poller.wait() == 3)
        let event = try nextEvent(of: &poller)
        let others = all.filter { $0 != event.descriptor }
        try poller.remove(others[0])
        try poller.remove(others[1])
        try poller.add(others[1], interest: .write, user: 2)
        expectNoEvent(of: &poller)
        // The one registered anew is reported by the next wait, as what it is now.
        try poller.wait()
        var users: [FileDescriptor: UInt64] = [:]
        while let event = poller.next() { users[event.descriptor] = event.user }
        #expect(users == [event.descriptor: 1, others[1]: 2])
    }

    @Test("gathers at most a batch, and starves nobody", arguments: Backend.all)
    func smallBatches(backend: Backend) throws {
        let (first, second, third) = (try Pair(), try Pair(), try Pair())
        var poller = try Poller(backend, batch: 1)
        for descriptor in [first.near, second.near, third.near] {
            try poller.add(descriptor, interest: .write)
        }
        var seen: Set<FileDescriptor> = []
        for _ in 0..<3 {
            #expect(try poller.wait() == 1)
            seen.insert(try nextEvent(of: &poller).descriptor)
        }
        #expect(seen.count == 3)
    }

    @Test("out-of-order calls name the descriptor and the remedy", arguments: Backend.all)
    func errors(backend: Backend) throws {
        let pair = try Pair()
        let near = pair.near
        var poller = try Poller(backend)
        #expect(
            code { () throws(SluiceError) in try poller.modify(near, interest: .read) }
                == .notRegistered)
        #expect(code { () throws(SluiceError) in try poller.remove(near) } == .notRegistered)
        try poller.add(near, interest: .read)
        do {
            try poller.add(near, interest: .read)
            Issue.record("a second add was let through")
        } catch {
            #expect(error.code == .alreadyRegistered)
            #expect(error.code.errno == .fileExists)
            #expect("\(error)".hasPrefix("add descriptor \(near.rawValue): there already; modify"))
        }
        #expect(
            code { () throws(SluiceError) in
                try poller.modify(near, interest: Interest(rawValue: 1 << 20))
            } == .unknownInterest)
        #expect(
            code { () throws(SluiceError) in
                try poller.add(FileDescriptor(rawValue: -1), interest: .read)
            } == .badDescriptor)
    }

    @Test("a batch of none is refused")
    func emptyBatch() {
        #expect(code { () throws(SluiceError) in _ = try Poller(batch: 0) } == .noCapacity)
        #expect(code { () throws(SluiceError) in _ = try Poller(batch: -1) } == .noCapacity)
        #expect(code { () throws(SluiceError) in _ = try Poller(batch: .max) } == .noCapacity)
    }

    @Test("waits as long as its timeout, and never less", arguments: Backend.all)
    func timeouts(backend: Backend) throws {
        var poller = try Poller(backend)
        for timeout in [Duration.nanoseconds(1), .microseconds(150), .milliseconds(3)] {
            let began = ContinuousClock.now
            #expect(try poller.wait(timeout: timeout) == 0)
            #expect(ContinuousClock.now - began >= timeout)
        }
        // One that is past already is no error: it comes of subtracting from a deadline.
        #expect(try poller.wait(timeout: .seconds(-1)) == 0)
    }

    @Test("a timeout of ages does not overflow", arguments: Backend.all)
    func hugeTimeouts(backend: Backend) throws {
        let pair = try Pair()
        var poller = try Poller(backend)
        try poller.add(pair.near, interest: .write)
        for seconds in [Int64.max, Int64.max / 2, 9_223_372_036, 9_223_372_037] {
            #expect(try poller.wait(timeout: .seconds(seconds)) == 1)
        }
        #expect(
            try poller.wait(timeout: Duration(secondsComponent: 0, attosecondsComponent: 1)) == 1)
        // Whose seconds are more than `components` can say.
        #expect(try poller.wait(timeout: .seconds(Int64.max) * 10) == 1)
        #expect(try poller.wait(timeout: .seconds(Int64.min) * 10) == 1)
        let most = Duration.nanoseconds(Int64.max)
        for timeout in [most - .nanoseconds(1), most, most + .nanoseconds(1)] {
            #expect(try poller.wait(timeout: timeout) == 1)
        }
    }

    @Test("a hang-up can be asked for alone, where conditions are told", arguments: Backend.all)
    func hangup(backend: Backend) throws {
        let pair = try Pair()
        var poller = try Poller(backend)
        guard poller.features.contains(.conditions) else {
            #expect(
                code { () throws(SluiceError) in try poller.add(pair.near, interest: .hangup) }
                    == .notSupported)
            return
        }
        try poller.add(pair.near, interest: .hangup)
        _ = try pair.far.send(bytes("hello"))
        try pair.far.finishSending()
        _ = try select(reading: [pair.near])
        #expect(try poller.wait(timeout: .zero) == 0)
        try pair.near.finishSending()
        #expect(try poller.wait() == 1)
        #expect(try nextEvent(of: &poller).readiness.contains(.hangup))
    }

    @Test("a signal that a handler took ends a wait, where that was asked for")
    func interruption() throws {
        let signals = StormOfSignals()
        defer { signals.end() }
        for backend in [Backend.select, .poll, .epoll] {
            var poller = try Poller(backend)
            try poller.setInterruptible(true)
            #expect(code { () throws(SluiceError) in try poller.wait() } == .interrupted)
            try poller.setInterruptible(false)
            #expect(try poller.wait(timeout: .milliseconds(5)) == 0)
        }
        #if Libevent
            var poller = try Poller(.libevent)
            #expect(
                code { () throws(SluiceError) in try poller.setInterruptible(true) }
                    == .notSupported)
        #endif
    }

    @Test("can be waited for by another loop, over epoll", arguments: Backend.all)
    func embedding(backend: Backend) throws {
        let pair = try Pair()
        var poller = try Poller(backend)
        try poller.add(pair.near, interest: .read)
        guard backend == .epoll else {
            #expect(
                code { () throws(SluiceError) in _ = try poller.backendDescriptor() }
                    == .notSupported)
            return
        }
        let descriptor = try poller.backendDescriptor()
        #expect(try poller.wait(timeout: .zero) == 0)
        #expect(try select(reading: [descriptor], timeout: .zero).readable.isEmpty)
        _ = try pair.far.send(bytes("hello"))
        #expect(try select(reading: [descriptor]).readable == [descriptor])
        #expect(try poller.wait(timeout: .zero) == 1)
    }

    @Test("goes on in the child of a fork, and only there", arguments: Backend.all)
    func afterFork(backend: Backend) async {
        await #expect(processExitsWith: .success) { [name = backend.name as String] in
            let pair = try Pair()
            var poller = try Poller(Backend(name))
            try poller.add(pair.near, interest: .write, user: 3)
            #expect(code { () throws(SluiceError) in try poller.afterFork() } == .wrongState)
            let child = fork()
            if child == 0 {
                try poller.afterFork()
                let isReady = try poller.wait() == 1 && poller.next()?.user == 3
                _exit(isReady ? 0 : 1)
            }
            #expect(status(of: child) == 0)
            #expect(try poller.wait() == 1)
            #expect(try nextEvent(of: &poller).user == 3)
        }
    }

    @Test(
        "in the child of a fork it wakes and ends, while threads of the parent wake",
        arguments: Backend.all)
    func forkWhileWaking(backend: Backend) async {
        await #expect(processExitsWith: .success) { [name = backend.name as String] in
            let isOver = Flag()
            let waker: Poller.Waker
            let threads: [TestThread]
            do {
                let poller = try Poller(Backend(name))
                waker = poller.waker
                threads = (0..<3).map { _ in
                    TestThread { while !isOver.isSet.load(ordering: .relaxed) { waker.wake() } }
                }
                for round in 0..<100 {
                    let child = fork()
                    if child == 0 {
                        // Nobody hears of a hang else.
                        alarm(20)
                        do {
                            var poller = consume poller
                            if round % 2 == 0 {
                                try poller.afterFork()
                                waker.wake()
                                guard try poller.wait() == 0 else { _exit(1) }
                            }
                        }
                        waker.wake()
                        _exit(0)
                    }
                    #expect(status(of: child) == 0)
                }
            }
            isOver.isSet.store(true, ordering: .relaxed)
            for thread in threads { thread.join() }
        }
    }

    private final class Flag: Sendable {
        let isSet = Atomic(false)
    }

    @Test("a wake from another thread ends a wait", arguments: Backend.all)
    func wake(backend: Backend) async throws {
        let waker: Poller.Waker
        do {
            var poller = try Poller(backend)
            waker = poller.waker
            let other = Task.detached { [waker] in waker.wake() }
            #expect(try poller.wait() == 0)
            await other.value
            waker.wake()
            waker.wake()
            #expect(try poller.wait() == 0)
        }
        // The poller is gone; its waker has nothing to wake.
        waker.wake()
    }
}
