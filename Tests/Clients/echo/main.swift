// An echo server as its users write it, a client for it, and the question at each step whether the code
// is on the loop's thread. It ends by itself, with the word "echoed".
import Sluice

// The first program of the documentation, word for word: it has to compile.
func first() async throws {
    try await Server.run(on: "localhost:9999") { connection in
        for try await bytes in connection.inbound {
            try await connection.write(bytes)
        }
    }
}

struct OffTheLoop: Error {
    let place: String
}

// `nonisolated` says nothing new, but where all is isolated to the main actor.
nonisolated func check(_ connection: Connection, _ place: String) throws {
    guard connection.loop.isCurrent else { throw OffTheLoop(place: place) }
}

nonisolated func answer(_ bytes: Bytes, on connection: Connection) async throws {
    try check(connection, "a function, before it waits")
    try await connection.write(bytes)
    try await connection.loop.clock.sleep(for: .milliseconds(1))
    try check(connection, "a function, after it has waited")
}

nonisolated struct Session {
    let connection: Connection

    func serve() async throws {
        try check(connection, "a method, before it waits")
        while let line = try await connection.readLine() {
            try check(connection, "a method, after a read")
            try await connection.write(line + "\n")
        }
        try check(connection, "a method, at the end")
    }
}

func serve(_ ready: @escaping @Sendable (Address) -> Void) async throws {
    var options = Server.Options()
    options.onError = { _, error in fatalError("\(error)") }
    try await Server.run(on: "127.0.0.1:0", options: options, ready: ready) { connection in
        try check(connection, "the handler, before it waits")
        if let bytes = try await connection.next() {
            try check(connection, "the handler, after a read")
            try await answer(bytes, on: connection)
        }
        try check(connection, "the handler, after a function")
        try await connection.withDeadline(.seconds(20)) {
            try check(connection, "a closure of the handler, before it waits")
            let line = try await connection.readLine()
            try check(connection, "a closure of the handler, after a read")
            try await connection.write((line ?? "") + "\n")
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await connection.loop.clock.sleep(for: .milliseconds(1))
                try check(connection, "a child task")
            }
            try await group.waitForAll()
        }
        async let child: Void = Session(connection: connection).serve()
        try await child
        try check(connection, "the handler, after its children")
        for try await bytes in connection.inbound { try await connection.write(bytes) }
        try check(connection, "the handler, at the end")
    }
}

func talk(to address: Address) async throws {
    for _ in 0..<3 {
        try await Client.connect(to: address.text) { connection in
            try check(connection, "the client, before it waits")
            for round in 0..<20 {
                let line = "line \(round)"
                try await connection.write(line + "\n")
                try check(connection, "the client, after a write")
                let echoed = try await connection.readLine()
                try check(connection, "the client, after a read")
                guard echoed == line else { fatalError("\(line) came back as \(echoed ?? "")") }
            }
        }
    }
}

let (addresses, continuation) = AsyncStream.makeStream(of: Address.self)
let server = Task {
    defer { continuation.finish() }
    try await serve { continuation.yield($0) }
}
for await address in addresses {
    try await talk(to: address)
    server.cancel()
}
try await server.value
print("echoed")
