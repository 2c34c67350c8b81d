import Glibc
import Sluice
import Testing

@Suite("PerStream", .serialized)
struct PerStreamTests {
    @Test("knows each of many streams until its last event is handled", arguments: Backend.all)
    func manyStreams(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let listener = try loop.listen(on: "127.0.0.1:0")
        let address = try loop.localAddress(of: listener)
        let table = PerStream<String>(in: loop)
        var expected: [StreamID: String] = [:]
        for number in 0..<100 {
            let client = try loop.connect(to: address)
            table[client] = "client \(number)"
            expected[client] = "client \(number)"
        }
        #expect(table.count == 100)
        var closed = 0
        var last: StreamID?
        try loop.pull { event, loop in
            if let stream = last { #expect(table[stream] == nil) }
            last = nil
            switch event {
            case .accepted(let stream, _):
                table[stream] = "server of \(stream)"
                expected[stream] = "server of \(stream)"
            case .connected(let stream): loop.close(stream)
            case .closed(let stream, _):
                #expect(table[stream] == expected[stream])
                #expect(table[stream] != nil)
                last = stream
                closed += 1
            default: break
            }
            return closed == 200
        }
        #expect(table.count == 1)
        try loop.expectQuiet()
        #expect(table.count == 0)
        #expect(Array(table).isEmpty)
    }

    @Test("a new stream in a slot has nothing of the one before", arguments: Backend.all)
    func slotReuse(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let address = try loop.localAddress(of: try loop.listen(on: "127.0.0.1:0"))
        let table = PerStream<Int>(in: loop)
        var ended: [StreamID] = []
        for number in 0..<50 {
            let stream = try loop.connect(to: address)
            #expect(table[stream] == nil)
            #expect(table[stream, default: -1] == -1)
            table[stream] = number
            loop.abort(stream)
            try loop.pull { event, _ in
                guard case .closed(stream, _) = event else { return false }
                #expect(table[stream] == number)
                return true
            }
            try loop.expectQuietButForOthers()
            for old in ended { #expect(table[old] == nil) }
            ended.append(stream)
        }
    }

    @Test("in a stream's last event, a new one may have its slot", arguments: Backend.all)
    func reconnecting(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let address = try loop.localAddress(of: try loop.listen(on: "127.0.0.1:0"))
        let table = PerStream<[Int]>(in: loop)
        var stream = try loop.connect(to: address)
        table[stream] = [0]
        for number in 1...5 {
            loop.abort(stream)
            let old = stream
            try loop.pull { event, loop in
                guard case .closed(old, _) = event else { return false }
                stream = try loop.connect(to: address)
                table[stream] = []
                #expect(table[old]?.count == number)
                table[old]?.append(-1)
                table[stream] = table[old]?.dropLast()
                table[stream]?.append(number)
                #expect(table[old]?.last == -1)
                #expect(table.count == 2)
                #expect(Set(table.map(\.stream)) == [old, stream])
                return true
            }
            try loop.expectQuietButForOthers()
            #expect(table[old] == nil)
            #expect(table.count == 1)
        }
        #expect(table[stream] == [0, 1, 2, 3, 4, 5])
    }

    @Test("nothing is kept for a stream that has ended", arguments: Backend.all)
    func endedStream(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        let table = PerStream<Int>(in: loop)
        loop.abort(near)
        try loop.pull { event, _ in if case .closed(near, _) = event { true } else { false } }
        table[near] = 1
        #expect(table[near] == 1)
        try loop.pull { event, _ in if case .closed(far, _) = event { true } else { false } }
        table[near] = 2
        table[near, default: 0] += 3
        #expect(table[near] == nil)
        table[StreamID(rawValue: 0)] = 1
        table[StreamID(rawValue: .max)] = 1
        #expect(table.count == 0)
    }

    @Test("a state that is set while it is being changed ends the program, and is not lost")
    func changedTwice() async {
        await #expect(processExitsWith: .failure) {
            let loop = try EventLoop()
            let table = PerStream<Int>(in: loop)
            let stream = try loop.connect(to: "127.0.0.1:1")
            func change(_ state: inout Int) {
                state += 1
                table[stream] = 7
            }
            change(&table[stream, default: 0])
            loop.stop()
            exit(0)
        }
    }

    @Test("what is known of an aborted stream is there until it has closed", arguments: Backend.all)
    func aborted(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, _) = try loop.connectedPair()
        let table = PerStream<Int>(in: loop)
        table[near] = 1
        loop.abort(near)
        table[near]! += 1
        table[near, default: 0] += 1
        try loop.pull { event, _ in
            guard case .closed(near, _) = event else { return false }
            #expect(table[near] == 3)
            return true
        }
    }

    @Test("an array in a table is changed where it lies")
    func inPlace() throws {
        var loop = try EventLoop()
        let (_, near, far) = try loop.connectedPair()
        let table = PerStream<[UInt8]>(in: loop)
        var array: [UInt8] = []
        array.reserveCapacity(100_000)
        table[near] = consume array
        func place() -> UInt {
            unsafe table[near]!.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
        }
        let before = place()
        for number in 0..<100_000 {
            table[near]!.append(UInt8(truncatingIfNeeded: number))
            table[far, default: []].append(1)
        }
        #expect(place() == before)
        #expect(table[near]?.count == 100_000)
        #expect(table[far]?.count == 100_000)
    }

    final class Counted {
        nonisolated(unsafe) static var living = 0
        let table: PerStream<Counted>?
        init(_ table: PerStream<Counted>? = nil) {
            self.table = table
            unsafe Self.living += 1
        }
        deinit {
            unsafe Self.living -= 1
            // A state that ends may look at the table.
            _ = table?.count
        }
    }

    @Test("objects are released: when forgotten, at the end of a stream, of the loop, of the table")
    func objects() throws {
        do {
            var loop = try EventLoop()
            let (_, near, far) = try loop.connectedPair()
            let table = PerStream<Counted>(in: loop)
            table[near] = Counted(table)
            table[near] = Counted(table)
            #expect(unsafe Counted.living == 1)
            table[near] = nil
            #expect(unsafe Counted.living == 0)
            table[near] = Counted(table)
            table[far] = Counted(table)
            loop.abort(near)
            try loop.pull { event, _ in if case .closed(near, _) = event { true } else { false } }
            #expect(unsafe Counted.living == 2)
            try loop.pull { event, _ in if case .closed(far, _) = event { true } else { false } }
            #expect(unsafe Counted.living == 1)
            let other = PerStream<Counted>(in: loop)
            other[try loop.connect(to: "127.0.0.1:1")] = Counted(other)
        }
        #expect(unsafe Counted.living == 0)
    }

    @Test("a table may outlive its loop, and is empty then")
    func outlivesTheLoop() throws {
        let table: PerStream<Int>
        let stream: StreamID
        do {
            var loop = try EventLoop()
            (_, stream, _) = try loop.connectedPair()
            table = PerStream<Int>(in: loop)
            table[stream] = 1
        }
        #expect(table[stream] == nil)
        table[stream] = 2
        table[stream, default: 0] += 1
        #expect(table.count == 0)
        #expect(table[stream] == nil)
    }

    @Test("a table may end before its loop, one of several too")
    func endsBeforeTheLoop() throws {
        var loop = try EventLoop()
        let (_, near, far) = try loop.connectedPair()
        let kept = PerStream<Int>(in: loop)
        kept[near] = 1
        for number in 0..<100 { PerStream<Int>(in: loop)[near] = number }
        loop.abort(near)
        try loop.pull { event, _ in if case .closed(far, _) = event { true } else { false } }
        #expect(kept.count == 0)
    }

    @Test("a loop over a table sees what was there when it began")
    func iteration() throws {
        let loop = try EventLoop()
        let address = try loop.localAddress(of: try loop.listen(on: "127.0.0.1:0"))
        let table = PerStream<Int>(in: loop)
        let streams = try (0..<10).map { _ in try loop.connect(to: address) }
        for (number, stream) in streams.enumerated() { table[stream] = number }
        var seen: [StreamID: Int] = [:]
        for (stream, number) in table {
            seen[stream] = number
            for other in streams { loop.abort(other) }
            table[streams[3]] = nil
            table[streams[4]]! += 100
            table[try loop.connect(to: address)] = 1000
        }
        #expect(seen.count == 10)
        for (number, stream) in streams.enumerated() { #expect(seen[stream] == number) }
        #expect(table.count == 19)
    }
}

extension EventLoop {
    /// Pulls what there is, of whatever kind.
    mutating func expectQuietButForOthers() throws {
        while try next(timeout: .zero) {}
    }
}
