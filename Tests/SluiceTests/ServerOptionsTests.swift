import Glibc
import Sluice
import Testing

@Suite("What a server has besides its handler")
struct ServerOptionsTests {
    @Test("what runs alongside does so on each loop's thread, until the handlers have returned")
    func alongside() async throws {
        enum Note: Hashable { case began, ended, handlerReturned }
        let (notes, continuation) = AsyncStream.makeStream(of: Note.self)
        let (addresses, ready) = AsyncStream.makeStream(of: Address.self)
        var options = Server.Options()
        options.onShutdown = .wait
        options.alongside = { loop in
            #expect(loop.isCurrent)
            continuation.yield(.began)
            try? await loop.clock.sleep(for: .seconds(3_600))
            #expect(loop.isCurrent)
            #expect(await loop.statistics.handles(.stream) == 0)
            continuation.yield(.ended)
        }
        let server = Task { [options] in
            try await Server.run(
                on: "127.0.0.1:0", loops: .count(2), options: options,
                ready: { ready.yield($0) }
            ) { connection in
                while try await connection.next() != nil {}
                continuation.yield(.handlerReturned)
            }
            continuation.finish()
        }
        for await address in addresses.prefix(1) {
            try await Client.connect(to: address.text) { connection in
                try await connection.write("hello\n")
                server.cancel()
            }
        }
        try await server.value
        var seen: [Note] = []
        for await note in notes { seen.append(note) }
        #expect(seen.filter { $0 == .began }.count == 2)
        #expect(seen.suffix(2) == [.ended, .ended])
    }

    @Test("a server that cannot have its signals lets go of its address")
    func signals() async throws {
        let address = "unix:@sluice-signals-\(getpid())"
        var options = Server.Options()
        options.stopsOn = [SIGTERM, SIGKILL]
        await #expect(throws: SluiceError.self) {
            try await Server.run(on: address, options: options) { _ in }
        }
        let listener = try EventLoop().listen(on: Address(address))
        _ = listener
    }

    @Test("a loop tells what it has done")
    func statistics() async throws {
        let loop = try Loop.start()
        let before = await loop.statistics
        try await loop.clock.sleep(for: .milliseconds(1))
        #expect(await loop.statistics.turns > before.turns)
        #expect(await loop.statistics.handles(.timer) == 0)
        await loop.stop()
    }
}
