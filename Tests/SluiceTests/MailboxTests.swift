import Glibc
import Sluice
import Synchronization
import Testing

@Suite("Mailboxes and posters", .serialized)
struct MailboxTests {
    @Test("messages of four threads come once each, in each one's order", arguments: Backend.all)
    func order(backend: Backend) throws {
        let each = 5000
        var loop = try EventLoop(backend)
        let mailbox = Mailbox<(thread: Int, number: Int)>(of: loop)
        let threads = (0..<4).map { thread in
            TestThread { for number in 0..<each { mailbox.send((thread, number)) } }
        }
        var next = [0, 0, 0, 0]
        var outOfOrder = 0
        try loop.pull { event, _ in
            guard case .posted(mailbox.word) = event else { return false }
            for (thread, number) in mailbox.take() {
                if number != next[thread] { outOfOrder += 1 }
                next[thread] += 1
            }
            return next.allSatisfy { $0 == each }
        }
        for thread in threads { thread.join() }
        #expect(outOfOrder == 0)
        try loop.expectQuiet()
    }

    @Test("a thousand messages wake the loop once", arguments: Backend.all)
    func oneWakeUp(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let mailbox = Mailbox<Int>(of: loop)
        let other = Mailbox<Int>(of: loop)
        #expect(mailbox.word != other.word)
        for round in 1...3 as ClosedRange<UInt64> {
            for number in 0..<1000 { #expect(mailbox.send(number)) }
            #expect(try loop.next())
            let isWord = if case .posted(mailbox.word) = loop.event { true } else { false }
            #expect(isWord)
            #expect(mailbox.take() == Array(0..<1000))
            #expect(mailbox.take() == [])
            try loop.expectQuiet()
            #expect(loop.statistics.events(.posted) == round)
        }
    }

    @Test("what was sent and not taken is there when the loop has ended, and nothing comes after")
    func loopEnds() throws {
        let mailbox: Mailbox<String>
        let empty: Mailbox<String>
        do {
            let loop = try EventLoop()
            mailbox = Mailbox(of: loop)
            empty = Mailbox(of: loop)
            #expect(mailbox.send("one"))
            #expect(mailbox.send("two"))
        }
        #expect(!mailbox.send("three"))
        #expect(!empty.send("four"))
        #expect(mailbox.take() == ["one", "two"])
        #expect(!mailbox.send("five"))
        #expect(mailbox.take() == [])
        #expect(empty.take() == [])
    }

    @Test(
        "where the loop has no room for a post, messages come all the same", arguments: Backend.all)
    func noRoom(backend: Backend) throws {
        var loop = try EventLoop(backend, options: .init(postLimit: 1))
        let mailboxes = (0..<3).map { _ in Mailbox<Int>(of: loop) }
        try loop.poster.post(7)
        for round in 1...2 {
            for mailbox in mailboxes {
                #expect(mailbox.send(round))
                #expect(mailbox.send(-round))
            }
            loop.poster.wake()
            var words: [UInt64] = []
            while try loop.next() {
                guard case .posted(let word) = loop.event else { continue }
                words.append(word)
                for mailbox in mailboxes where mailbox.word == word {
                    #expect(mailbox.take() == [round, -round])
                }
            }
            // The wake ended it, and was told last.
            #expect(words.count == (round == 1 ? 4 : 3))
            #expect(Set(words).isSuperset(of: mailboxes.map(\.word)))
            try loop.expectQuiet()
        }
    }

    @Test("the wake of a mailbox ends no run", arguments: Backend.all)
    func noSpuriousEnd(backend: Backend) throws {
        let each = 3000
        var loop = try EventLoop(backend, options: .init(postLimit: 1))
        let mailboxes = (0..<2).map { _ in Mailbox<Int>(of: loop) }
        let threads = mailboxes.map { mailbox in
            TestThread { for number in 0..<each { mailbox.send(number) } }
        }
        var next = [0, 0]
        while next != [each, each] {
            #expect(try loop.next())
            guard case .posted(let word) = loop.event else { continue }
            for (index, mailbox) in mailboxes.enumerated() where mailbox.word == word {
                for number in mailbox.take() {
                    #expect(number == next[index])
                    next[index] += 1
                }
            }
        }
        for thread in threads { thread.join() }
    }

    @Test("in the child of a fork a mailbox goes on, while threads of the parent send")
    func fork() async {
        await #expect(processExitsWith: .success) {
            var loop = try EventLoop()
            let mailbox = Mailbox<Int>(of: loop)
            // Swift makes the types that this takes when it is first called, under a lock that a child of
            // fork could find held for ever.
            mailbox.send(0)
            _ = mailbox.take()
            let isOver = Atomics()
            let sender = TestThread {
                while !isOver.flag.load(ordering: .relaxed) {
                    for _ in 0..<100 { mailbox.send(1) }
                    usleep(100)
                }
            }
            for _ in 0..<100 {
                let child = SluiceTests.fork()
                if child == 0 {
                    try loop.afterFork()
                    mailbox.send(2)
                    mailbox.send(3)
                    guard try loop.next(), case .posted(mailbox.word) = loop.event else { _exit(1) }
                    // What waited is the parent's.
                    _exit(mailbox.take() == [2, 3] ? 0 : 2)
                }
                #expect(status(of: child) == 0)
                _ = mailbox.take()
            }
            isOver.flag.store(true, ordering: .relaxed)
            sender.join()
        }
    }

    @Test("a closure that is sent runs on the loop's thread, with the loop", arguments: Backend.all)
    func closures(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        let jobs = Mailbox<@Sendable (borrowing EventLoop) -> Void>(of: loop)
        let thread = TestThread { jobs.send { loop in loop.write("done", to: near) } }
        var received: [UInt8] = []
        try loop.pull { event, loop in
            switch event {
            case .posted(jobs.word): for job in jobs.take() { job(loop) }
            case .data(far, let bytes): received.append(contentsOf: bytes)
            default: break
            }
            return received.count == 4
        }
        thread.join()
        #expect(received == bytes("done"))
    }

    @Test("threads may post and wake while their loop ends")
    func retire() throws {
        for _ in 0..<200 {
            let isOver = Atomics()
            var threads: [TestThread] = []
            do {
                var loop = try EventLoop()
                let poster = loop.poster
                let mailbox = Mailbox<Int>(of: loop)
                threads = (0..<3).map { thread in
                    TestThread {
                        var number: UInt64 = 0
                        while !isOver.flag.load(ordering: .relaxed) {
                            number += 1
                            if thread == 0 { mailbox.send(1) }
                            if thread == 1 { poster.wake() }
                            if (try? poster.post(number)) == nil { _ = sched_yield() }
                        }
                    }
                }
                for _ in 0..<5 { _ = try loop.next() }
            }
            isOver.flag.store(true, ordering: .relaxed)
            for thread in threads { thread.join() }
        }
    }

    private final class Atomics: Sendable {
        let flag = Atomic(false)
    }
}
