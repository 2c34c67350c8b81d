// The control for loops: whatever else is done with a loop and its events compiles.
import Sluice

struct Service {
    var counts: [StreamID: Int] = [:]

    mutating func handle(_ event: Event, _ loop: borrowing EventLoop) throws {
        switch event {
        case .data(let stream, let bytes):
            counts[stream, default: 0] += bytes.count
            loop.write(bytes, to: stream)
            if let other = counts.keys.first { loop.write(bytes, to: other) }
            try loop.addTimer(after: .seconds(1))
        case .endOfStream(let stream): loop.close(stream)
        default: print(event.description)
        }
    }
}

func pulled() throws {
    var loop = try EventLoop()
    var service = Service()
    while try loop.next() { try service.handle(loop.event, loop) }
}

func handled() throws {
    var loop = try EventLoop()
    var service = Service()
    try loop.run { event, loop in try service.handle(event, loop) }
}

// A loop that stands in one value with what it serves: that is handed the loop, not the event.
struct Owner: ~Copyable {
    var loop: EventLoop
    var service = Service()
    var count = 0

    mutating func run() throws {
        while try loop.next() {
            count += 1
            try service.handle(loop)
        }
    }
}

extension Service {
    mutating func handle(_ loop: borrowing EventLoop) throws { try handle(loop.event, loop) }
}

// The shapes of a handler, each with the pattern that a program with one event begins with.
struct Echo: EventHandler {
    var bytes = 0

    mutating func handle(_ event: Event, in loop: borrowing EventLoop) {
        guard case .data(let stream, let received) = event else { return }
        bytes += received.count
        loop.write(received, to: stream)
    }
}

final class Counter: EventHandler {
    var bytes = 0

    func handle(_ event: Event, in loop: borrowing EventLoop) {
        if case .data(_, let received) = event { bytes += received.count }
    }
}

func shaped() throws {
    try EventLoop.run { loop in
        try loop.listen(on: "localhost:9999")
        return Echo()
    }
    let counter = Counter()
    try EventLoop.run { _ in counter }
    var loop = try EventLoop()
    try loop.run { event, loop in
        if case .data(let stream, let bytes) = event { loop.write(bytes, to: stream) }
    }
}
