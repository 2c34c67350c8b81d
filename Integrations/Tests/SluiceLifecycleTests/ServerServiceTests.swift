import Logging
import ServiceLifecycle
import Sluice
import SluiceLifecycle
import Testing

@Suite("A server as a service")
struct ServerServiceTests {
    /// The outcome of a run.
    private enum Note: Hashable, Sendable {
        case isReady(Address)
        case isBusy
        case handlerReturned
        case handlerThrew
        case groupReturned
    }

    /// The next note. Only one caller at a time asks for it.
    private func next(_ notes: AsyncStream<Note>) async -> Note? {
        var iterator = notes.makeAsyncIterator()
        return await iterator.next()
    }

    /// Has a group serve a connection, and tells the group to shut down while the handler waits for
    /// the rest of a line. Returns what happened from then on, and what the client read.
    private func shutDownWhileBusy(
        _ change: (inout Server.Options) -> Void, client finish: Bool
    ) async throws -> (notes: Set<Note>, answer: String?) {
        let (notes, continuation) = AsyncStream.makeStream(of: Note.self)
        var options = Server.Options()
        change(&options)
        options.onError = { _, _ in continuation.yield(.handlerThrew) }
        let service = ServerService(
            on: "127.0.0.1:0", options: options, ready: { continuation.yield(.isReady($0)) }
        ) { connection in
            let first = try await connection.read(exactly: 4)
            continuation.yield(.isBusy)
            let line = try await connection.readLine() ?? "the end"
            try await connection.write(first)
            try await connection.write(line + "\n")
            continuation.yield(.handlerReturned)
        }
        let group = ServiceGroup(services: [service], logger: Logger(label: "group"))
        let run = Task {
            try await group.run()
            continuation.yield(.groupReturned)
            continuation.finish()
        }
        guard case .isReady(let address) = await next(notes) else {
            throw CancellationError()
        }
        let answer = try? await Client.connect(to: address.text) { connection in
            try await connection.write("half")
            #expect(await next(notes) == .isBusy)
            await group.triggerGracefulShutdown()
            if finish { try await connection.write(" a line\n") }
            return try await connection.readLine()
        }
        try await run.value
        var seen: Set<Note> = []
        while let note = await next(notes) { seen.insert(note) }
        return (seen, answer)
    }

    @Test("a busy connection goes on where the options say so")
    func wait() async throws {
        let (notes, answer) = try await shutDownWhileBusy({ $0.onShutdown = .wait }, client: true)
        #expect(answer == "half a line")
        #expect(notes == [.handlerReturned, .groupReturned])
    }

    @Test("its input ends, and it can answer")
    func endInput() async throws {
        let (notes, answer) = try await shutDownWhileBusy({ _ in }, client: false)
        #expect(answer == "halfthe end")
        #expect(notes == [.handlerReturned, .groupReturned])
    }

    @Test("it is cancelled")
    func cancel() async throws {
        let (notes, answer) = try await shutDownWhileBusy(
            { $0.onShutdown = .cancel }, client: false)
        #expect(answer == nil)
        #expect(notes == [.handlerThrew, .groupReturned])
    }

    @Test("after the grace period it is cancelled")
    func grace() async throws {
        let (notes, _) = try await shutDownWhileBusy(
            {
                $0.onShutdown = .wait
                $0.gracePeriod = .milliseconds(10)
            }, client: false)
        #expect(notes == [.handlerThrew, .groupReturned])
    }

    @Test("a group that is cancelled ends it")
    func cancelled() async throws {
        let (addresses, continuation) = AsyncStream.makeStream(of: Address.self)
        let service = ServerService(on: "127.0.0.1:0", ready: { continuation.yield($0) }) { _ in }
        let group = ServiceGroup(services: [service], logger: Logger(label: "group"))
        let run = Task { try await group.run() }
        for await _ in addresses.prefix(1) { run.cancel() }
        _ = await run.result
    }

    @Test("an address that cannot be listened at ends the group with the error")
    func error() async throws {
        let service = ServerService(on: "127.0.0.1:99999") { _ in }
        let group = ServiceGroup(services: [service], logger: Logger(label: "group"))
        await #expect(throws: SluiceError.self) { try await group.run() }
    }
}
