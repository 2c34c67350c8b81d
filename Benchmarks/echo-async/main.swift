// An echo server as a package has it that sets nothing: Swift 6, no upcoming features, no word of
// unsafe. In a detached task with the main thread asleep, because what counts instructions dies of the
// main thread's executor.

import Glibc
import Sluice

struct Usage: Error, CustomStringConvertible {
    let description =
        "usage: echo-async ADDRESS BACKEND [inbound|function|next|borrow|line|lines|frames]"
        + " [isolated|first|two]"
}

func echo(_ connection: Connection) async throws {
    for try await bytes in connection.inbound { try await connection.write(bytes) }
}

/// 16 lines of 32 bytes, all the same, as of ../loads/load.c: only their reading is to count.
private let answer = Array(
    (0..<16).map { _ in String(repeating: "x", count: 31) + "\n" }.joined().utf8)

func serve(_ arguments: [String]) async throws {
    guard arguments.count >= 3, let backend = Backend(arguments[2]) else { throw Usage() }
    var options = Server.Options()
    options.backend = backend
    if arguments.contains("isolated") { options.tasks = .isolatedOnly }
    if arguments.contains("first") { options.startsHandler = .onFirstBytes }
    let ready: @Sendable (Address) -> Void = { address in
        print(address)
        fflush(nil)
    }
    switch arguments.count > 3 ? arguments[3] : "inbound" {
    case "function":
        try await Server.run(on: arguments[1], options: options, ready: ready) { connection in
            try await echo(connection)
        }
    case "next":
        try await Server.run(on: arguments[1], options: options, ready: ready) { connection in
            while let bytes = try await connection.next() { try await connection.write(bytes) }
        }
    case "borrow":
        try await Server.run(on: arguments[1], options: options, ready: ready) { connection in
            while try await connection.withNextBytes({ try connection.tryWrite($0) }) != nil {}
        }
    case "line":
        try await Server.run(on: arguments[1], options: options, ready: ready) { connection in
            while let line = try await connection.readLine() {
                try await connection.write(line + "\n")
            }
        }
    case "lines":
        try await Server.run(on: arguments[1], options: options, ready: ready) { connection in
            var count = 0
            while try await connection.readLine() != nil {
                count += 1
                if count % 16 == 0 { try await connection.write(answer) }
            }
        }
    case "frames":
        try await Server.run(on: arguments[1], options: options, ready: ready) { connection in
            var count = 0
            for try await _ in connection.frames(by: .lines()) {
                count += 1
                if count % 16 == 0 { try await connection.write(answer) }
            }
        }
    default:
        let loops: Server.LoopCount = arguments.contains("two") ? .count(2) : .one
        try await Server.run(on: arguments[1], loops: loops, options: options, ready: ready) {
            connection in
            for try await bytes in connection.inbound { try await connection.write(bytes) }
        }
    }
}

let arguments = CommandLine.arguments
Task.detached {
    do {
        try await serve(arguments)
    } catch {
        print(error)
    }
    exit(0)
}

var signals = sigset_t()
sigemptyset(&signals)
sigaddset(&signals, SIGTERM)
pthread_sigmask(SIG_BLOCK, &signals, nil)
var number: CInt = 0
sigwait(&signals, &number)
