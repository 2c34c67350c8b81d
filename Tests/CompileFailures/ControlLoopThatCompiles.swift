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
