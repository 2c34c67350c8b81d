import Glibc
import Sluice
import SystemPackage
import Testing

/// A name that nobody has: RFC 6761.
private let unknown: Address = "sluice.invalid:80"

@Suite("Names", .serialized)
struct NameTests {
    @Test("a stream connects by name, to a listener by name")
    func connectByName() throws {
        var loop = try EventLoop()
        let listener = try loop.listen(on: "localhost:0")
        let port = try #require(try loop.localAddress(of: listener).port)
        let stream = try loop.connect(to: "localhost:\(port)")
        #expect(loop.descriptor(of: stream) == nil)
        loop.write("hello", to: stream)
        var accepted: StreamID?
        try loop.pull { event, _ in
            if case .accepted(let stream, by: listener) = event { accepted = stream }
            if case .closed(_, let ending) = event { Issue.record("closed: \(ending)") }
            return accepted != nil
        }
        let received = try loop.receive(5, from: try #require(accepted))
        #expect(received == Array("hello".utf8))
        #expect(loop.descriptor(of: stream) != nil)
    }

    @Test("a stream to a name that is not found ends, and the words can be asked for")
    func unknownName() throws {
        var loop = try EventLoop()
        let stream = try loop.connect(to: unknown)
        #expect(loop.nameProblem(of: stream) == nil)
        try loop.pull { event, loop in
            guard case .closed(stream, let ending) = event else { return false }
            #expect(ending.error == .unknownName)
            #expect(loop.nameProblem(of: stream)?.isEmpty == false)
            return true
        }
    }

    @Test("a lookup gives addresses that can be connected to")
    func resolve() throws {
        var loop = try EventLoop()
        let lookup = try loop.resolve("localhost:443", family: .ipv4, userWord: 5)
        #expect(loop.isLive(lookup) == true)
        var addresses: [Address] = []
        try loop.pull { event, loop in
            guard case .resolved(lookup, let answer) = event else { return false }
            #expect(event.kind == .resolved)
            #expect(event.description == "resolved \(lookup): 127.0.0.1:443")
            #expect(answer.error == nil && answer.problem == nil)
            #expect(loop.userWord == 5)
            addresses = answer.addresses
            return true
        }
        #expect(addresses == ["127.0.0.1:443"])
        #expect(loop.isLive(lookup) == false)
    }

    @Test("a lookup that finds nothing says why in words")
    func resolveInVain() throws {
        var loop = try EventLoop()
        let lookup = try loop.resolve(unknown.text)
        try loop.pull { event, _ in
            guard case .resolved(lookup, let answer) = event else { return false }
            #expect(answer.error == .unknownName)
            #expect(answer.addresses == [])
            let problem = answer.problem ?? ""
            #expect(problem != "")
            #expect(event.description == "resolved \(lookup): \(problem)")
            return true
        }
    }

    @Test("what is no name is its own answer, and a lookup can be given up")
    func ownAnswer() throws {
        var loop = try EventLoop()
        loop.close(try loop.resolve("localhost:1"))
        let lookup = try loop.resolve("[::1]:80")
        try loop.pull { event, _ in
            guard case .resolved(lookup, let answer) = event else {
                Issue.record("unexpected: \(event.description)")
                return true
            }
            #expect(answer.addresses == ["[::1]:80"])
            return true
        }
        #expect(
            code { () throws(SluiceError) in try loop.resolve("[::1]:80", family: .ipv4) }?.errno
                == .addressFamilyNotSupported)
        #expect(code { () throws(SluiceError) in try loop.resolve("*:80") } == .notNumeric)
        #expect(code { () throws(SluiceError) in try loop.resolve("localhost") } == .badPort)
        try loop.expectQuiet()
    }
}

@Suite("Listeners from elsewhere, and options of addresses")
struct ListenerTests {
    @Test("a socket that listens already is listened on, and closed with the listener")
    func inherited() throws {
        var loop = try EventLoop()
        let socket = try FileDescriptor.listen(on: "\(ownHost()):0")
        let listener = try loop.listen(adopting: socket)
        #expect(loop.descriptor(of: listener) == socket)
        let address = try loop.localAddress(of: listener)
        let client = try FileDescriptor.connect(to: address.text)
        defer { try? client.close() }
        try loop.pull { event, _ in
            if case .accepted(_, by: listener) = event { return true }
            return false
        }
        loop.close(listener)
        // Its number may be another test's by now, so the socket is asked for by its address.
        let late = try loop.connect(to: address.text)
        try loop.pull { event, _ in
            guard case .closed(late, let ending) = event else { return false }
            #expect(ending.error?.errno == .connectionRefused)
            return true
        }
    }

    @Test("what does not listen stays the caller's")
    func notListening() throws {
        let loop = try EventLoop()
        let pair = try Pair()
        do {
            try loop.listen(adopting: pair.near)
            Issue.record("a stream was taken for a listener")
        } catch {
            #expect(error.code == .notListening)
            #expect("\(error)".hasPrefix("listen on descriptor \(pair.near.rawValue): "))
        }
        #expect(fcntl(pair.near.rawValue, F_GETFD) >= 0)
    }

    @Test("who may call at a unix path is said, whatever the umask")
    func unixMode() throws {
        let loop = try EventLoop()
        let path = "/tmp/sluice-tests-mode-\(getpid())"
        let listener = try loop.listen(
            on: .unix(path), options: ListenerOptions(unixMode: [.ownerReadWrite, .groupWrite]))
        var status = stat()
        #expect(unsafe stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o620)
        loop.close(listener)
        for mode in [FilePermissions(rawValue: 0), FilePermissions(rawValue: 0o1777)] {
            #expect(
                code { () throws(SluiceError) in
                    try loop.listen(on: .unix(path), options: ListenerOptions(unixMode: mode))
                } == .badOption)
        }
    }

    @Test("a listener for IPv6 alone takes no caller of IPv4")
    func onlyIPv6() throws {
        var loop = try EventLoop()
        let listener: ListenerID
        do {
            listener = try loop.listen(on: "*:0", options: ListenerOptions(onlyIPv6: true))
        } catch {
            // A machine without IPv6.
            #expect([.addressFamilyNotSupported, .addressNotAvailable].contains(error.code.errno))
            return
        }
        let port = try #require(try loop.localAddress(of: listener).port)
        let stream = try loop.connect(to: .ipv4(ownHost(), port: port))
        try loop.pull { event, _ in
            guard case .closed(stream, let ending) = event else { return false }
            #expect(ending.error?.errno == .connectionRefused)
            return true
        }
    }

    @Test("a stream comes from the source that was asked for")
    func source() throws {
        var loop = try EventLoop()
        let (_, near, far) = try loop.connectedPair(
            ListenerOptions(), StreamOptions(source: "127.0.0.2:0"))
        let known = loop.localAddress(of: near)
        let local = try #require(known)
        #expect(local.text.hasPrefix("127.0.0.2:"))
        #expect(loop.peerAddress(of: far) == local)
        #expect(
            code { () throws(SluiceError) in
                try loop.connect(to: "127.0.0.1:1", options: StreamOptions(source: "nonsense"))
            } != nil)
    }
}
