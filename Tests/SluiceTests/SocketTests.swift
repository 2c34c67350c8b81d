import Glibc
import Sluice
import SystemPackage
import Testing

@Suite("Sockets", .serialized)
struct SocketTests {
    @Test("bytes go out and come in, to the end")
    func exchange() throws {
        let pair = try Pair()
        var buffer = ReceiveBuffer(capacity: 8)
        #expect(buffer.bytes.count == 0)
        #expect(try pair.near.receive(into: &buffer) == .wouldBlock)
        #expect(try pair.far.send(bytes("hello, world")) == 12)
        try pair.far.finishSending()
        var received: [UInt8] = []
        while true {
            // The end may come later than the bytes.
            _ = try select(reading: [pair.near])
            guard case .bytes = try pair.near.receive(into: &buffer) else { break }
            received.append(contentsOf: buffer.bytes)
        }
        #expect(received == bytes("hello, world"))
        #expect(try pair.near.receive(into: &buffer) == .endOfStream)
        #expect(buffer.bytes.count == 0)
        #expect(try pair.near.send(bytes("still here").span) == 10)
    }

    @Test("a send takes what fits, and none when there is no room")
    func fullSocket() throws {
        let pair = try Pair()
        let piece = [UInt8](repeating: 1, count: 1 << 20)
        var sent = 0
        // It ends with the first one that takes none: later the kernel may have made room again.
        while case let count = try pair.near.send(piece), count > 0 { sent += count }
        #expect(sent > 0)
    }

    @Test("a gone peer is an error and not a signal")
    func brokenPipe() throws {
        let pair = try Pair()
        try pair.near.finishSending()
        #expect(
            code { () throws(SluiceError) in _ = try pair.near.send(bytes("x")) }?.errno
                == .brokenPipe)
    }

    @Test("addresses go back and forth as text")
    func addresses() throws {
        let name = "unix:@sluice-socket-tests-\(getpid())"
        let listener = try FileDescriptor.listen(on: name)
        defer { try? listener.close() }
        #expect(try listener.localAddress() == name)
        #expect(try listener.accept() == nil)
        let pair = try Pair()
        #expect(try pair.near.localAddress() == pair.far.peerAddress())
        #expect(
            code { () throws(SluiceError) in _ = try listener.peerAddress() }?.errno
                == .socketNotConnected)
    }

    @Test("a refused connect says so, and a name is not an address")
    func refusals() throws {
        let listener = try FileDescriptor.listen(on: "\(ownHost()):0")
        let address = try listener.localAddress()
        do {
            _ = try FileDescriptor.listen(on: address)
            Issue.record("two listeners at one address")
        } catch {
            #expect(error.code.errno == .addressInUse)
            #expect("\(error)".hasPrefix("listen on \"\(address)\": "))
        }
        try listener.close()
        let socket = try FileDescriptor.connect(to: address)
        defer { try? socket.close() }
        _ = try select(writing: [socket])
        #expect(
            code { () throws(SluiceError) in try socket.finishConnecting() }?.errno
                == .connectionRefused)
        #expect(
            code { () throws(SluiceError) in _ = try FileDescriptor.connect(to: "no address") }
                == .badAddress)
    }
}
