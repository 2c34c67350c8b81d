// The control for frames, parts of bytes, tables and handlers: what is done with them within one event
// compiles.
import Sluice

struct Lines: EventHandler {
    let names: PerStream<String>
    var count = 0

    mutating func handle(_ event: Event, in loop: borrowing EventLoop) {
        switch event {
        case .accepted(let stream, _): names[stream] = "guest"
        case .data(let stream, let bytes):
            var lines = loop.frames(of: stream, in: bytes, by: .lines())
            while let line = lines.next() { handle(line, stream, loop) }
        case .closed(let stream, _): print("\(names[stream]!) left")
        default: break
        }
    }

    mutating func handle(_ line: Span<UInt8>, _ stream: StreamID, _ loop: borrowing EventLoop) {
        count += 1
        var words = line.trimmed.split(separator: UInt8(ascii: " "))
        guard let first = words.next() else { return }
        if let second = words.next(), first.elsewhere(second) { return }
        if first[0...].elementsEqual("quit", ignoringCase: true) { loop.close(stream) }
        loop.write(line, to: stream)
    }
}

extension Span where Element == UInt8 {
    func elsewhere(_ other: Span<UInt8>) -> Bool { starts(with: other) }
}

/// A handler that says of its parameter what it is anyway.
struct Borrowing: EventHandler {
    var count = 0

    mutating func handle(_ event: borrowing Event, in loop: borrowing EventLoop) { count += 1 }
}

/// A head, and a body whose length it says.
func request(
    _ bytes: Span<UInt8>, _ stream: StreamID, _ loop: borrowing EventLoop
) -> [UInt8]? {
    var lines = loop.frames(of: stream, in: bytes, by: .lines())
    var length = 0
    while let line = lines.next(), !line.isEmpty {
        length = Int(ascii: line) ?? length
    }
    var bodies = loop.frames(of: stream, in: lines.rest, by: .fixed(max(1, length)))
    guard let body = bodies.next() else { return nil }
    return Array(body)
}

/// Frames as what is only read, also by those that are handed them.
func longest(_ frames: inout Frames) -> Int {
    var longest = 0
    while let frame = frames.next() { longest = max(longest, frame.count) }
    return longest
}

func handled() throws {
    try EventLoop.run { loop in
        try loop.listen(on: "127.0.0.1:0")
        return Lines(names: PerStream(in: loop))
    }
    var loop = try EventLoop()
    try loop.run { event, loop in
        guard case .data(let stream, let bytes) = event else { return }
        var frames = loop.frames(of: stream, in: bytes, by: .lines())
        print(longest(&frames), request(bytes, stream, loop) ?? [])
    }
}

func sent() throws {
    let loop = try EventLoop()
    let mailbox = Mailbox<String>(of: loop)
    let thread = try LoopThread(loop) { loop in
        let names = PerStream<String>(in: loop)
        try loop.run { event, loop in
            switch event {
            case .posted(mailbox.word): print(mailbox.take())
            case .accepted(let stream, _): names[stream] = "guest"
            default: break
            }
        }
    }
    mailbox.send("hello")
    thread.poster.wake()
    try thread.join()
}
