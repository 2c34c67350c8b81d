import Sluice
import Testing

@Suite("Framing", .serialized)
struct FramingTests {
    /// Sends the pieces one by one, each when the one before has arrived, then ends; and gives the
    /// frames that come of them, and how the stream ended.
    private func deliver(
        _ pieces: [[UInt8]], by framing: Framing, over backend: Backend,
        options: EventLoop.Options = .init()
    ) throws -> (frames: [[UInt8]], ending: StreamEnding) {
        var loop = try EventLoop(backend, options: options)
        let (_, near, far) = try loop.connectedPair()
        var unsent = pieces[...]
        var sent = 0
        var frames: [[UInt8]] = []
        var ending: StreamEnding?
        func handle(_ event: Event, _ loop: borrowing EventLoop) {
            switch event {
            case .data(far, let bytes):
                var cut = loop.frames(of: far, in: bytes, by: framing)
                while let frame = cut.next() { frames.append(Array(frame)) }
            case .closed(far, let how): ending = how
            default: break
            }
        }
        let end = ContinuousClock.now + patience
        while ending == nil {
            // What is waited for comes without an event: that it has come is counted.
            if try loop.next(timeout: .zero) {
                handle(loop.event, loop)
            } else if loop.statistics.bytesReceived == sent {
                if let piece = unsent.popFirst() {
                    loop.write(piece, to: near)
                    sent += piece.count
                } else {
                    loop.finishSending(on: near)
                }
            }
            if ContinuousClock.now > end { throw TimedOut() }
        }
        return (frames, try #require(ending))
    }

    /// Cuts bytes at random places.
    private func pieces(_ all: [UInt8], _ random: inout Random) -> [[UInt8]] {
        var rest = all[...]
        var pieces: [[UInt8]] = []
        while !rest.isEmpty {
            // Mostly small ones, so that what delimits is cut too.
            let most = Bool.random(using: &random) ? 3 : 6000
            let count = Int.random(in: 1...most, using: &random)
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }

    private func comesWhole(
        _ framing: Framing, _ backend: Backend, _ random: inout Random,
        _ encoded: (inout Random) -> (frame: [UInt8], bytes: [UInt8])
    ) throws {
        var sent: [[UInt8]] = []
        var all: [UInt8] = []
        for _ in 0..<30 {
            let (frame, bytes) = encoded(&random)
            sent.append(frame)
            all += bytes
        }
        let (frames, ending) = try deliver(pieces(all, &random), by: framing, over: backend)
        #expect(frames == sent, "seed \(random.seed)")
        #expect(ending.error == nil)
    }

    /// Mostly short, and at times longer than what is noted as searched.
    private func content(_ random: inout Random, of alphabet: String) -> [UInt8] {
        let isLong = Int.random(in: 0..<8, using: &random) == 0
        return random.bytes(isLong ? 4000...8000 : 0...10, of: alphabet)
    }

    @Test("lines come as they were sent, however they were cut", arguments: Backend.all)
    func lines(backend: Backend) throws {
        var random = Random()
        try comesWhole(.lines(), backend, &random) { random in
            var line = content(&random, of: "ab\r c")
            while line.last == UInt8(ascii: "\r") { line.removeLast() }
            return (line, line + bytes(Bool.random(using: &random) ? "\n" : "\r\n"))
        }
    }

    @Test("what stands between delimiters comes as it was sent", arguments: Backend.all)
    func delimited(backend: Backend) throws {
        var random = Random()
        for delimiter in ["\0", "\r\n", "\r\n\r\n", "aab"] {
            try comesWhole(.delimited(by: delimiter), backend, &random) { random in
                while true {
                    let frame = content(&random, of: "ab\r\n c")
                    let all = frame + bytes(delimiter)
                    if all.span.firstIndex(of: delimiter) == frame.count { return (frame, all) }
                }
            }
        }
    }

    @Test("frames of a fixed size come as they were sent", arguments: Backend.all)
    func fixed(backend: Backend) throws {
        var random = Random()
        for size in [1, 7, 5000] {
            try comesWhole(.fixed(size), backend, &random) { random in
                let frame = random.bytes(size...size)
                return (frame, frame)
            }
        }
    }

    @Test(
        "frames with a length of 1 to 8 bytes in front come as they were sent",
        arguments: Backend.all)
    func lengths(backend: Backend) throws {
        var random = Random()
        for width in 1...8 {
            for order in [ByteOrder.bigEndian, .littleEndian] {
                for countsItself in [false, true] {
                    let framing = Framing.length(width, order, countsItself: countsItself)
                    try comesWhole(framing, backend, &random) { random in
                        let most = width == 1 ? 200 : 2000
                        let frame = random.bytes(0...most)
                        let length = UInt64(frame.count + (countsItself ? width : 0))
                        var head: [UInt8] = []
                        head.append(length, .littleEndian)
                        head = Array(head[..<width])
                        return (frame, (order == .bigEndian ? head.reversed() : head) + frame)
                    }
                }
            }
        }
    }

    @Test(
        "an end of a line, or a delimiter, may be cut between two receives", arguments: Backend.all)
    func cutDelimiters(backend: Backend) throws {
        let lines = try deliver(
            [bytes("one\r"), bytes("\ntwo\r"), bytes("x\n"), bytes("\r"), bytes("\n")],
            by: .lines(), over: backend)
        #expect(lines.frames == [bytes("one"), bytes("two\rx"), []])
        let heads = try deliver(
            [bytes("a\r\n\r"), bytes("\nb\r\n"), bytes("\r\n"), bytes("\r"), bytes("\n\r\n")],
            by: .delimited(by: "\r\n\r\n"), over: backend)
        #expect(heads.frames == [bytes("a"), bytes("b"), []])
    }

    @Test("a frame of the limit passes, and one byte more ends the stream", arguments: Backend.all)
    func limits(backend: Backend) throws {
        func head(_ length: UInt16) -> [UInt8] {
            var head: [UInt8] = []
            head.append(length, .bigEndian)
            return head
        }
        let cases: [(Framing, fits: [UInt8], tooLong: [UInt8])] = [
            (.lines(limit: 5), bytes("12345\n"), bytes("123456\n")),
            (.lines(limit: 5), bytes("12345\r\n"), bytes("123456\r\n")),
            (.delimited(by: "--", limit: 5), bytes("12345--"), bytes("123456--")),
            (.length(2, limit: 5), head(5) + bytes("12345"), head(6)),
            (.length(2, countsItself: true, limit: 5), head(7) + bytes("12345"), head(8)),
            // No end in sight: it is not waited for.
            (.lines(limit: 5), bytes("12345\n"), bytes("1234567")),
            (.delimited(by: "--", limit: 5), bytes("12345--"), bytes("1234567")),
        ]
        for (framing, fits, tooLong) in cases {
            for cut in [false, true] {
                let pieces = [fits] + (cut ? tooLong.map { [$0] } : [tooLong]) + [fits]
                let (frames, ending) = try deliver(pieces, by: framing, over: backend)
                #expect(frames == [bytes("12345")])
                #expect(ending.error == .frameTooLong)
            }
        }
    }

    @Test(
        "a length that is less than itself ends the stream as a bad frame", arguments: Backend.all)
    func badFrame(backend: Backend) throws {
        let framing = Framing.length(2, countsItself: true)
        let good: [UInt8] = [0, 2, 0, 3, 7]
        let (frames, ending) = try deliver([good, [0, 1, 9, 9]], by: framing, over: backend)
        #expect(frames == [[], [7]])
        #expect(ending.error == .badFrame)
    }

    @Test("a length of 8 bytes that no memory has is too long, and no trap", arguments: Backend.all)
    func hugeLength(backend: Backend) throws {
        let huge = [UInt8](repeating: 0xff, count: 8)
        for order in [ByteOrder.bigEndian, .littleEndian] {
            let framing = Framing.length(8, order, countsItself: true, limit: .max)
            let (frames, ending) = try deliver([huge], by: framing, over: backend)
            #expect(frames == [])
            #expect(ending.error == .frameTooLong)
        }
    }

    @Test("a limit of as much as there can be is none", arguments: Backend.all)
    func noLimit(backend: Backend) throws {
        for framing in [
            Framing.lines(limit: .max), .delimited(by: "\n", limit: .max),
            .delimited(by: "\r\n", limit: .max), .length(2, limit: .max),
        ] {
            let pieces = framing == .length(2, limit: .max) ? ["\0\u{3}on", "e"] : ["on", "e\r\n"]
            let (frames, ending) = try deliver(pieces.map(bytes), by: framing, over: backend)
            #expect(frames.count == 1 && frames[0].starts(with: bytes("one")))
            #expect(ending.error == nil)
        }
        let long: [UInt8] = [0x7f] + [UInt8](repeating: 0xff, count: 7)
        for countsItself in [false, true] {
            let framing = Framing.length(8, countsItself: countsItself, limit: .max)
            let (frames, ending) = try deliver([long], by: framing, over: backend)
            #expect(frames == [])
            #expect(ending.error == .frameTooLong)
        }
    }

    @Test("a size that no memory has, of a part of the bytes, ends the stream alone")
    func hugeSize() throws {
        var loop = try EventLoop()
        let (_, near, far) = try loop.connectedPair()
        loop.write("hello", to: near)
        var ending: StreamEnding?
        try loop.pull { event, loop in
            switch event {
            case .data(far, let bytes):
                var frames = loop.frames(of: far, in: bytes[..<2], by: .fixed(.max))
                let hasOne = frames.next() != nil
                #expect(!hasOne)
            case .closed(far, let how): ending = how
            default: break
            }
            return ending != nil
        }
        #expect(ending?.error == .full)
    }

    @Test("what stands behind the last end of a line is a line, too", arguments: Backend.all)
    func lastLine(backend: Backend) throws {
        for pieces in [["one\ntwo"], ["one\nt", "w", "o"], ["one\n", "two"]] {
            let (lines, _) = try deliver(pieces.map(bytes), by: .lines(), over: backend)
            #expect(lines == [bytes("one"), bytes("two")])
            for takesRest in [false, true] {
                let framing = Framing.delimited(by: "\n", takesRest: takesRest)
                let (parts, _) = try deliver(pieces.map(bytes), by: framing, over: backend)
                #expect(parts == [bytes("one")] + (takesRest ? [bytes("two")] : []))
            }
        }
        let (lines, _) = try deliver([bytes("one\ntwo\n")], by: .lines(), over: backend)
        #expect(lines == [bytes("one"), bytes("two")])
    }

    @Test("who takes the refusal ends the stream in words of its own", arguments: Backend.all)
    func takeRefusal(backend: Backend) throws {
        for framing in [Framing.lines(limit: 3), .delimited(by: "\n", limit: 3)] {
            var loop = try EventLoop(backend)
            let (_, near, far) = try loop.connectedPair()
            loop.write("one\nfour\nfive", to: near)
            var frames: [[UInt8]] = []
            var answer: [UInt8] = []
            var endings: [StreamEnding] = []
            try loop.pull { event, loop in
                switch event {
                case .data(far, let bytes):
                    var cut = loop.frames(of: far, in: bytes, by: framing)
                    while let frame = cut.next() { frames.append(Array(frame)) }
                    guard cut.takeRefusal() == .frameTooLong else { break }
                    #expect(cut.takeRefusal() == nil)
                    loop.write("too long", to: far)
                    loop.close(far)
                case .data(near, let bytes): answer.append(contentsOf: bytes)
                case .closed(_, let how): endings.append(how)
                default: break
                }
                return endings.count == 2
            }
            #expect(frames == [bytes("one")])
            #expect(answer == bytes("too long"))
            #expect(endings.allSatisfy { $0.error == nil })
        }
    }

    @Test("a part of a frame at the end of the stream is none", arguments: Backend.all)
    func lastPart(backend: Backend) throws {
        #expect(
            try deliver([bytes("12345")], by: .fixed(3), over: backend).frames == [bytes("123")])
        #expect(try deliver([[1, 7, 2, 8]], by: .length(1), over: backend).frames == [[7]])
    }

    @Test("a frame of 20 MB comes whole with the default options", arguments: Backend.all)
    func largeFrame(backend: Backend) throws {
        let size = 20_000_000
        let frame = [UInt8](repeating: UInt8(ascii: "x"), count: size)
        var head: [UInt8] = []
        head.append(UInt32(size), .bigEndian)
        let framings: [(Framing, [UInt8])] = [
            (.length(4, limit: size), head + frame),
            (.lines(limit: size), frame + bytes("\n")),
            (.fixed(size), frame),
        ]
        for (framing, sent) in framings {
            let (frames, ending) = try deliver([sent], by: framing, over: backend)
            #expect(frames.count == 1)
            #expect(frames.first == frame)
            #expect(ending.error == nil)
        }
    }

    @Test("what is over the hard limit cannot be held, and ends the stream", arguments: Backend.all)
    func hardLimit(backend: Backend) throws {
        let (frames, ending) = try deliver(
            [[UInt8](repeating: 1, count: 6000), [1]], by: .fixed(10_000), over: backend,
            options: .init(highMark: 1000, hardLimit: 6000))
        #expect(frames == [])
        #expect(ending.error == .full)
    }

    @Test("where the loop over frames is broken off, the rest comes again", arguments: Backend.all)
    func brokenOff(backend: Backend) throws {
        // Enough for it to be noted what has been searched: the rest has not.
        let first = (0..<3000).map { "line \($0)\n" }.joined()
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        loop.write(first, to: near)
        var lines: [String] = []
        var events = 0
        try loop.pull { event, loop in
            guard case .data(far, let bytes) = event else { return false }
            events += 1
            var cut = loop.frames(of: far, in: bytes, by: .lines())
            while let line = cut.next() {
                lines.append(String(decoding: line, as: UTF8.self))
                if events < 5 { break }
            }
            if events < 5 { loop.write("more \(events)\n", to: near) }
            return lines.last == "more 4"
        }
        #expect(lines == (0..<3000).map { "line \($0)" } + (1...4).map { "more \($0)" })
    }

    @Test(
        "frames may follow a prefix, and bytes that they are not shown stay", arguments: Backend.all
    )
    func afterAPrefix(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        var hasGreeted = false
        var lines: [String] = []
        loop.write("MA", to: near)
        try loop.pull { event, loop in
            guard case .data(far, let bytes) = event else { return false }
            guard hasGreeted || bytes.count >= 5 else {
                try loop.hold(last: bytes.count, of: far)
                loop.write("GIC", to: near)
                return false
            }
            guard hasGreeted || bytes.count > 5 else {
                // All of it is the prefix: nothing is left to be framed.
                let isPrefix = bytes.elementsEqual("MAGIC")
                #expect(isPrefix)
                var none = loop.frames(of: far, in: bytes[5...], by: .lines())
                var isOver = none.next() == nil
                #expect(isOver)
                none = loop.frames(of: far, in: Span(), by: .lines())
                isOver = none.next() == nil
                #expect(isOver)
                hasGreeted = true
                loop.write("one\ntwo\nthr!", to: near)
                return false
            }
            // The last byte is not shown.
            var cut = loop.frames(of: far, in: bytes[..<(bytes.count - 1)], by: .lines())
            while let line = cut.next() { lines.append(String(decoding: line, as: UTF8.self)) }
            if lines.count == 2 { loop.write("ee\nfour\n?", to: near) }
            return lines.count == 4
        }
        #expect(lines == ["one", "two", "thr!ee", "four"])
    }

    @Test("what frames have left may be framed otherwise at once", arguments: Backend.all)
    func otherFraming(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        loop.write("length 5\n\nhello", to: near)
        var body: [UInt8] = []
        try loop.pull { event, loop in
            guard case .data(far, let bytes) = event else { return false }
            var lines = loop.frames(of: far, in: bytes, by: .lines())
            while let line = lines.next(), !line.isEmpty {}
            var bodies = loop.frames(of: far, in: lines.rest, by: .fixed(5))
            while let one = bodies.next() { body = Array(one) }
            return body.count == 5
        }
        #expect(body == bytes("hello"))
        try loop.expectQuiet()
    }

    @Test("frames can be written where they lie", arguments: Backend.all)
    func echo(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        let sent = bytes((0..<1000).map { "line \($0)\n" }.joined())
        var unsent = sent[...]
        loop.write(unsent.prefix(7), to: near)
        unsent = unsent.dropFirst(7)
        var echoed: [UInt8] = []
        try loop.pull { event, loop in
            switch event {
            case .data(far, let bytes):
                var lines = loop.frames(of: far, in: bytes, by: .lines())
                while let line = lines.next() {
                    loop.write(line, then: [UInt8(ascii: "\n")].span, to: far)
                }
                loop.write(unsent.prefix(1013), to: near)
                unsent = unsent.dropFirst(1013)
            case .data(near, let bytes): echoed.append(contentsOf: bytes)
            default: break
            }
            return echoed.count >= sent.count
        }
        #expect(echoed == sent)
    }

    @Test("what frames have left goes along with a forward", arguments: Backend.all)
    func forwarded(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        let (_, out, target) = try loop.connectedPair()
        loop.write("CONNECT\nand this", to: near)
        var received: [UInt8] = []
        try loop.pull { event, loop in
            switch event {
            case .data(far, let bytes):
                var lines = loop.frames(of: far, in: bytes, by: .lines())
                let isConnect = lines.next()?.elementsEqual("CONNECT") == true
                #expect(isConnect)
                #expect(loop.forward(from: far, to: out) == true)
            case .data(target, let bytes): received.append(contentsOf: bytes)
            default: break
            }
            return received.count >= 8
        }
        #expect(received == bytes("and this"))
    }

    @Test(
        "a stream that is paused in the middle of its frames gives the rest at the resume",
        arguments: Backend.all, [false, true])
    func pausedInTheMiddle(backend: Backend, endsFirst: Bool) throws {
        var hasEnded = endsFirst
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        loop.write("0\n1\n2\n3\n4\n5\n6\n7\nrest", to: near)
        if hasEnded { loop.finishSending(on: near) }
        var lines: [String] = []
        var isOver = false
        try loop.pull { event, loop in
            switch event {
            case .data(far, let bytes):
                var cut = loop.frames(of: far, in: bytes, by: .lines())
                // Two at a time; and once the resume comes before the frames are looked at.
                loop.pause(far)
                if lines.count == 2 { loop.resume(far) }
                for _ in 0..<2 {
                    guard let line = cut.next() else { break }
                    lines.append(String(decoding: line, as: UTF8.self))
                }
                switch lines.count {
                case 4: loop.resume(far)
                case 6:
                    loop.resume(far)
                    loop.pause(far)
                case 2, 8: try loop.addTimer(after: .milliseconds(1))
                default: loop.resume(far)
                }
                if lines.count == 6 { try loop.addTimer(after: .milliseconds(1)) }
            case .timer:
                loop.resume(far)
                if lines.count == 8 && !hasEnded {
                    hasEnded = true
                    loop.write("!\n", to: near)
                    loop.finishSending(on: near)
                }
            case .endOfStream(far): isOver = true
            default: break
            }
            return isOver
        }
        #expect(lines == (0..<8).map(String.init) + [endsFirst ? "rest" : "rest!"])
    }

    @Test("a hold that is asked for has the say over what frames have left", arguments: Backend.all)
    func explicitHold(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        loop.write("one\nrest", to: near)
        var texts: [String] = []
        try loop.pull { event, loop in
            guard case .data(far, let bytes) = event else { return false }
            texts.append(String(decoding: bytes, as: UTF8.self))
            var lines = loop.frames(of: far, in: bytes, by: .lines())
            _ = lines.next()
            try loop.hold(last: 2, of: far)
            if texts.count == 1 { loop.write("!", to: near) }
            return texts.count == 2
        }
        #expect(texts == ["one\nrest", "st!"])
    }

    @Test("a stop between does not lose what frames have left", arguments: Backend.all)
    func stopped(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let (_, near, far) = try loop.connectedPair()
        loop.write("on", to: near)
        var lines: [String] = []
        for _ in 1...2 {
            try loop.run { event, loop in
                guard case .data(far, let bytes) = event else { return }
                var cut = loop.frames(of: far, in: bytes, by: .lines())
                while let line = cut.next() { lines.append(String(decoding: line, as: UTF8.self)) }
                loop.stop()
            }
            loop.write("e\n", to: near)
        }
        #expect(lines == ["one"])
    }

    @Test("frames of bytes that are not the event's end the program, with a message")
    func foreignBytes() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            var loop = try EventLoop()
            let (_, near, far) = try loop.connectedPair()
            loop.write("hello", to: near)
            try loop.pull { event, loop in
                guard case .data(far, _) = event else { return false }
                let others: [UInt8] = [1, 2, 3]
                _ = loop.frames(of: far, in: others.span, by: .lines())
                return true
            }
        }
        let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(message.contains("is for the bytes of the event in hand"))
        await #expect(processExitsWith: .failure) {
            var loop = try EventLoop()
            let (_, near, _) = try loop.connectedPair()
            _ = loop.frames(of: near, in: Span(), by: .lines())
        }
    }
}
