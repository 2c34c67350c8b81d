import Glibc
import Sluice
import SystemPackage
import Testing

@Suite("Handlers", .serialized)
struct HandlerTests {
    /// A struct with its state, which ends the run when its stream has closed.
    private struct Talk: EventHandler {
        var events: [Event.Kind] = []
        var received: [UInt8] = []
        let stream: StreamID

        init(_ loop: borrowing EventLoop) throws {
            let listener = try loop.listen(on: "127.0.0.1:0")
            stream = try loop.connect(to: try loop.localAddress(of: listener))
            loop.write("hello", to: stream)
            loop.finishSending(on: stream)
        }

        mutating func handle(_ event: Event, in loop: borrowing EventLoop) throws {
            events.append(event.kind)
            switch event {
            case .data(stream, let bytes): received.append(contentsOf: bytes)
            case .data(let other, let bytes): loop.write(bytes, to: other)
            case .closed(stream, _): loop.stop()
            default: break
            }
        }
    }

    /// The same without a copy of it.
    private struct Unique: EventHandler, ~Copyable {
        var talk: Talk
        var count = 0
        init(_ talk: Talk) { self.talk = talk }

        mutating func handle(_ event: Event, in loop: borrowing EventLoop) throws {
            count += 1
            try talk.handle(event, in: loop)
        }
    }

    private final class Object: EventHandler {
        var talk: Talk
        init(_ talk: Talk) { self.talk = talk }

        func handle(_ event: Event, in loop: borrowing EventLoop) throws {
            try talk.handle(event, in: loop)
        }
    }

    @Test("may be a struct, which has its state afterwards", arguments: Backend.all)
    func structure(backend: Backend) throws {
        var loop = try EventLoop(backend)
        var talk = try Talk(loop)
        try loop.run(&talk)
        #expect(talk.received == bytes("hello"))
        #expect(talk.events.last == .closed)
    }

    @Test("may be noncopyable", arguments: Backend.all)
    func noncopyable(backend: Backend) throws {
        var loop = try EventLoop(backend)
        var handler = Unique(try Talk(loop))
        try loop.run(&handler)
        let (received, count, events) = (handler.talk.received, handler.count, handler.talk.events)
        #expect(received == bytes("hello"))
        #expect(count == events.count)
    }

    @Test("may be an object", arguments: Backend.all)
    func object(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let object = Object(try Talk(loop))
        try loop.run(object)
        #expect(object.talk.received == bytes("hello"))
    }

    @Test("may be a closure over an object", arguments: Backend.all)
    func closure(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let object = Object(try Talk(loop))
        try loop.run { event, loop in try object.handle(event, in: loop) }
        #expect(object.talk.received == bytes("hello"))
    }

    @Test("run opens a loop, hands it to the handler's making, and ends it", arguments: Backend.all)
    func runs(backend: Backend) throws {
        let listener = try FileDescriptor.listen(on: "127.0.0.1:0")
        defer { try? listener.close() }
        let address = try listener.localAddress()
        let poster = try Parting.run(backend, address)
        #expect(code { () throws(SluiceError) in try poster.post(1) } == .stale)
        _ = try select(reading: [listener])
        let peer = try #require(try listener.accept())
        defer { try? peer.close() }
        var received: [UInt8] = []
        var buffer = ReceiveBuffer(capacity: 100)
        while true {
            _ = try select(reading: [peer])
            guard case .bytes = try peer.receive(into: &buffer) else { break }
            received.append(contentsOf: buffer.bytes)
        }
        #expect(received == bytes("bye"))
    }

    /// Writes, and stops at once: the end of the loop sends it.
    private final class Parting: EventHandler {
        static func run(_ backend: Backend, _ address: String) throws -> EventLoop.Poster {
            var poster: EventLoop.Poster?
            try EventLoop.run(backend) { loop in
                poster = loop.poster
                try loop.connect(to: address)
                return Parting()
            }
            return try #require(poster)
        }

        func handle(_ event: Event, in loop: borrowing EventLoop) {
            guard case .connected(let stream) = event else { return }
            loop.write("bye", to: stream)
            loop.stop()
        }
    }

    @Test("what begin or a handler throws comes out of run as it is")
    func errors() {
        struct Mine: Error {}
        final class Thrower: EventHandler {
            func handle(_ event: Event, in loop: borrowing EventLoop) throws {
                throw Mine()
            }
        }
        #expect(throws: Mine.self) {
            try EventLoop.run { _ -> Thrower in throw Mine() }
        }
        #expect(throws: Mine.self) {
            try EventLoop.run { loop in
                try loop.addTimer(after: .zero)
                return Thrower()
            }
        }
    }

    @Test("the file of a unix socket is gone when run has ended", arguments: Backend.all)
    func unixSocket(backend: Backend) throws {
        let path = "/tmp/sluice-handler-tests-\(getpid()).sock"
        final class Stopper: EventHandler {
            let path: String
            init(_ path: String) { self.path = path }
            func handle(_ event: Event, in loop: borrowing EventLoop) {
                #expect(unsafe access(path, F_OK) == 0)
                loop.stop()
            }
        }
        try EventLoop.run(backend) { loop in
            try loop.listen(on: .unix(path))
            try loop.addTimer(after: .zero)
            return Stopper(path)
        }
        #expect(unsafe access(path, F_OK) != 0)
    }

    @Test("a listener that drains has finished when its callers are in", arguments: Backend.all)
    func draining(backend: Backend) throws {
        var loop = try EventLoop(backend)
        let listener = try loop.listen(on: "127.0.0.1:0")
        let stream = try loop.connect(to: try loop.localAddress(of: listener))
        // Once it stands in the queue.
        let descriptor = loop.descriptor(of: listener)
        _ = try select(reading: [try #require(descriptor)])
        #expect(try loop.drain(listener) == true)
        var accepted: StreamID?
        var hasFinished = false
        try loop.pull { event, loop in
            switch event {
            case .accepted(let stream, by: listener): accepted = stream
            case .finished(listener):
                #expect(event.kind == .closed)
                #expect(event.description == "finished \(listener)")
                hasFinished = true
            case .finished: Issue.record("another's end")
            default: break
            }
            return hasFinished
        }
        #expect(loop.isLive(listener) == false)
        #expect(try loop.drain(listener) == false)
        #expect(loop.isLive(stream) == true)
        #expect(loop.isLive(try #require(accepted)) == true)
    }
}
