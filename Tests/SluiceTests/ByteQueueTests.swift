import Glibc
import Sluice
import Testing

@Suite("ByteQueue")
struct ByteQueueTests {
    private func contents(_ queue: borrowing ByteQueue) -> [UInt8] {
        var copied: [UInt8] = []
        copied.append(contentsOf: queue)
        return copied
    }

    @Test("what goes in at the end comes out at the beginning")
    func order() throws {
        var queue = try ByteQueue()
        #expect(queue.isEmpty == true)
        #expect(queue.firstPiece.count == 0)
        let part = bytes("abc")
        try queue.append(part)
        try queue.append(part.span)
        try queue.append(part.span.extracting(0..<3))
        try queue.append("déf")
        #expect(queue.count == 13)
        #expect(contents(queue) == bytes("abcabcabcdéf"))
        try queue.removeFirst(7)
        #expect(contents(queue) == bytes("bcdéf"))
        do {
            try queue.removeFirst(7)
            Issue.record("more was taken than there is")
        } catch {
            #expect(error.code == .noCapacity)
            #expect("\(error)".hasPrefix("remove 7 bytes of byte queue: "))
        }
        #expect(code { () throws(SluiceError) in try queue.removeFirst(-1) } == .noCapacity)
        #expect(queue.count == 6)
    }

    @Test("many pieces are shown whole, in order")
    func pieces() throws {
        var queue = try ByteQueue()
        let all = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 >> 3) }
        try queue.append(all)
        #expect(contents(queue) == all)
        #expect(queue.firstPiece.count > 1000)
        struct Enough: Error {}
        var seen = 0
        do throws(Enough) {
            try queue.forEachPiece { (piece) throws(Enough) in
                seen += 1
                if seen == 3 { throw Enough() }
            }
        } catch {}
        #expect(seen == 3)
    }

    @Test("bytes written in place are appended, but where that throws")
    func inPlace() throws {
        var queue = try ByteQueue()
        try queue.append(room: 100) { output in
            #expect(output.freeCapacity >= 100)
            for byte in bytes("hello") { output.append(byte) }
        }
        #expect(contents(queue) == bytes("hello"))
        #expect(
            code { () throws(SluiceError) in
                try queue.append(room: 10) { (output) throws(SluiceError) in
                    output.append(1)
                    _ = try ByteQueue(limit: 0)
                }
            } == .badOption)
        #expect(contents(queue) == bytes("hello"))
        for room in [-1, 0, 4097] {
            #expect(
                code { () throws(SluiceError) in try queue.append(room: room) { _ in } }
                    == .noCapacity)
        }
    }

    @Test("room that is kept past its use ends the program")
    func keptRoom() async {
        await #expect(processExitsWith: .failure) {
            var queue = try ByteQueue()
            var kept = OutputRawSpan()
            try queue.append(room: 10) { room in
                let moved = room
                room = OutputRawSpan()
                kept = moved
            }
            kept.append(1)
            exit(0)
        }
        await #expect(processExitsWith: .failure) {
            var queue = try ByteQueue()
            var kept = OutputRawSpan()
            try? queue.append(room: 10) { (room) throws(SluiceError) in
                let moved = room
                room = OutputRawSpan()
                kept = moved
                _ = try ByteQueue(limit: 0)
            }
            kept.append(1)
            exit(0)
        }
    }

    @Test("a move takes all, or a part")
    func moves() throws {
        var from = try ByteQueue()
        var to = try ByteQueue()
        try from.append("hello, world")
        #expect(try to.append(moving: &from, most: 5) == 5)
        #expect(try to.append(moving: &from, most: -1) == 0)
        #expect(contents(to) == bytes("hello"))
        #expect(contents(from) == bytes(", world"))
        #expect(try to.append(moving: &from) == 7)
        #expect(contents(to) == bytes("hello, world"))
        #expect(from.isEmpty == true)
    }

    @Test("over its limit a queue takes nothing")
    func limit() throws {
        var queue = try ByteQueue(limit: 4096)
        try queue.append("x")
        #expect(
            code { () throws(SluiceError) in
                try queue.append([UInt8](repeating: 0, count: 5000))
            } == .full)
        #expect(queue.count == 1)
    }
}
