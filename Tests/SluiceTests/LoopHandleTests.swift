import Glibc
import Sluice
import SystemPackage
import Testing

@Suite("Handles, timers, signals, watches, posts", .serialized)
struct LoopHandleTests {
    @Test("a name goes stale with its handle, and stays so when the slot is used again")
    func staleNames() throws {
        let loop = try EventLoop()
        let first = try loop.addTimer(after: .seconds(60))
        #expect(loop.isLive(first) == true)
        loop.close(first)
        #expect(loop.isLive(first) == false)
        let second = try loop.addTimer(after: .seconds(60))
        #expect(first != second)
        #expect(loop.isLive(second) == true)
        #expect(loop.close(first) == false)
        #expect(loop.reset(first, after: .zero) == false)
        #expect(loop.userWord(of: first) == nil)
        // One kind's name made into another's is seen through as well.
        let forged = StreamID(rawValue: second.rawValue)
        #expect(loop.isLive(forged) == false)
        #expect(loop.write("x", to: forged) == .gone)
    }

    @Test("the user word comes with each event, is inherited, and outlives the handle")
    func userWords() throws {
        var loop = try EventLoop()
        let listener = try loop.listen(on: "127.0.0.1:0")
        loop.setUserWord(7, of: listener)
        #expect(loop.userWord(of: listener) == 7)
        let client = try loop.connect(to: try loop.localAddress(of: listener))
        loop.setUserWord(8, of: client)
        loop.write("x", to: client)
        loop.close(client)
        var words: [Event.Kind: [UInt64]] = [:]
        try loop.pull { event, loop in
            switch event {
            case .accepted(let stream, _):
                words[.accepted, default: []].append(loop.userWord)
                #expect(loop.userWord(of: stream) == 7)
                loop.setUserWord(9, of: stream)
            case .data: words[.data, default: []].append(loop.userWord)
            case .closed: words[.closed, default: []].append(loop.userWord)
            default: break
            }
            return words[.closed]?.count == 2
        }
        try loop.addTimer(after: .zero, userWord: 10)
        let pair = try Pair()
        try loop.watch(pair.near, for: .write, userWord: 11)
        try loop.pull { event, loop in
            words[event.kind] = [loop.userWord]
            return words[.timer] != nil && words[.ready] != nil
        }
        #expect(words[.timer] == [10])
        #expect(words[.ready] == [11])
        #expect(words[.accepted] == [7])
        #expect(words[.data] == [9])
        #expect(words[.closed]?.sorted() == [8, 9])
    }

    @Test("timers fire in order of deadline, and never early", arguments: Backend.all)
    func timers(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let began = loop.now
        let late = try loop.addTimer(after: .milliseconds(9))
        let early = try loop.addTimer(after: .milliseconds(3))
        let closed = try loop.addTimer(after: .milliseconds(1))
        let moved = try loop.addTimer(after: .milliseconds(2))
        loop.close(closed)
        loop.reset(moved, after: .milliseconds(6))
        var fired: [TimerID] = []
        try loop.pull { event, loop in
            guard case .timer(let timer) = event else { return false }
            fired.append(timer)
            let due = [early: 3, moved: 6, late: 9][timer] ?? 0
            let passed = loop.now - began
            #expect(passed >= .milliseconds(due))
            return fired.count == 3
        }
        #expect(fired == [early, moved, late])
        #expect(loop.isLive(early) == false)
        try loop.expectQuiet()
    }

    @Test("a timer repeats until it is closed, also from within its event", arguments: Backend.all)
    func repeatingTimer(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let timer = try loop.addTimer(after: .zero, every: .microseconds(500))
        var count = 0
        try loop.pull { _, loop in
            count += 1
            if count == 3 { loop.close(timer) }
            return count == 3
        }
        #expect(try !loop.next(timeout: .milliseconds(2)))
        #expect(loop.close(timer) == false)
    }

    @Test("a signal is an event", arguments: Backend.all)
    func signals(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let signal = try loop.addSignal(SIGUSR1)
        #expect(signal.number == SIGUSR1)
        #expect(
            code { () throws(SluiceError) in try loop.addSignal(SIGUSR1) } == .alreadyRegistered)
        #expect(
            code { () throws(SluiceError) in try loop.addSignal(SIGKILL) }?.errno
                == .invalidArgument)
        raise(SIGUSR1)
        var number: CInt?
        try loop.pull { event, _ in
            guard case .signal(let came) = event else { return false }
            #expect(came == signal)
            number = came.number
            return true
        }
        #expect(number == SIGUSR1)
        loop.close(signal)
    }

    @Test("a watch reports readiness, until it is closed", arguments: Backend.all)
    func watches(backend: Backend) throws {
        let pair = try Pair()
        var loop = try EventLoop(backend)
        let watch = try loop.watch(pair.near, for: .read)
        #expect(loop.descriptor(of: watch) == pair.near)
        try loop.expectQuiet()
        _ = try pair.far.send(bytes("hello"))
        try loop.pull { event, _ in
            guard case .ready(watch, let readiness) = event else { return false }
            #expect(readiness == .read)
            return true
        }
        try loop.rewatch(watch, for: .write)
        try loop.pull { event, _ in
            guard case .ready(watch, let readiness) = event else { return false }
            #expect(readiness == .write)
            return true
        }
        loop.close(watch)
        try loop.expectQuiet()
        // The descriptor has stayed ours, and open.
        #expect(try pair.near.send(bytes("still")) == 5)
    }

    @Test("posts of four threads come once each, in each one's order", arguments: Backend.all)
    func posts(backend: Backend) throws {
        let each: UInt64 = 5000
        var loop = try EventLoop(backend)
        let poster = loop.poster
        let threads = (0..<4 as Range<UInt64>).map { thread in
            TestThread { for number in 0..<each { try? poster.post(thread << 32 | number) } }
        }
        var next: [UInt64] = [0, 0, 0, 0]
        var outOfOrder = 0
        try loop.pull { event, _ in
            guard case .posted(let word) = event else { return false }
            if next[Int(word >> 32)] != word & 0xffff_ffff { outOfOrder += 1 }
            next[Int(word >> 32)] += 1
            return next.allSatisfy { $0 == each }
        }
        for thread in threads { thread.join() }
        #expect(outOfOrder == 0)
        try loop.expectQuiet()
    }

    @Test("posts have a limit, and a poster outlives its loop")
    func posterLimits() throws {
        let poster: EventLoop.Poster
        do {
            var loop = try EventLoop(options: .init(postLimit: 2))
            poster = loop.poster
            try poster.post(1)
            try poster.post(2)
            #expect(code { () throws(SluiceError) in try poster.post(3) } == .full)
            #expect(try loop.next())
            try poster.post(4)
        }
        #expect(code { () throws(SluiceError) in try poster.post(5) } == .stale)
    }
}
