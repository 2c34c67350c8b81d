// A server that speaks the Redis protocol: PING, ECHO, SET, GET, INCR, DEL, EXISTS, and what
// redis-cli and redis-benchmark ask besides. Commands come as arrays or as lines, pipelined or not.
// The pulled twin is in redis.
//
// It shows a protocol read as it is written down, and values of 100 MB. An answer waits for room.
// So a client that does not read holds up only itself, and is ended when that takes too long.
//
//     swift run redis-async localhost:6379
//     redis-cli set greeting hello
//     redis-benchmark -t ping,set,get,incr -q

import Sluice

/// The most bytes of a value and of a line, and the most arguments of a command.
let valueLimit = 128 << 20
let lineLimit = 64 << 10
let argumentLimit = 1_024

/// An error that ends the client who made it.
struct ProtocolError: Error {
    let words: String
    init(_ words: String) { self.words = words }
}

enum Answer {
    case line(String)
    case bulk([UInt8])
}

/// An actor. It runs on the server's thread, which its tasks prefer. A value that is handed over is
/// shared and not copied.
actor Store {
    private var values: [[UInt8]: [UInt8]] = [:]

    func answer(_ command: [[UInt8]]) -> Answer {
        let name = text(command[0])
        switch (name.lowercased(), command.count) {
        case ("ping", 1): return .line("+PONG")
        case ("ping", 2), ("echo", 2): return .bulk(command[1])
        case ("set", 3):
            values[command[1]] = command[2]
            return .line("+OK")
        case ("set", 4...): return .line("-ERR syntax error")
        case ("get", 2): return values[command[1]].map { .bulk($0) } ?? .line("$-1")
        case ("incr", 2):
            let value = values[command[1], default: [0x30]]
            // Only digits as we would write them: no "+1" and no "01".
            guard let number = Int(ascii: value.span), Array("\(number)".utf8) == value else {
                return .line("-ERR value is not an integer or out of range")
            }
            guard number < .max else {
                return .line("-ERR increment or decrement would overflow")
            }
            values[command[1]] = Array("\(number + 1)".utf8)
            return .line(":\(number + 1)")
        case ("del", 2...):
            return .line(":\(command[1...].count { values.removeValue(forKey: $0) != nil })")
        case ("exists", 2...): return .line(":\(command[1...].count { values[$0] != nil })")
        case ("command", _): return .line("*0")
        case ("config", 3) where text(command[1]).lowercased() == "get":
            return .line("*2\r\n$\(command[2].count)\r\n\(text(command[2]))\r\n$0\r\n")
        case ("ping", _), ("echo", _), ("set", _), ("get", _), ("incr", _), ("del", _),
            ("exists", _), ("config", _):
            return .line("-ERR wrong number of arguments for '\(name.lowercased())' command")
        default:
            let rest = command[1...].prefix(8).map { "'\(text($0))' " }.joined()
            return .line("-ERR unknown command '\(name)', with args beginning with: \(rest)")
        }
    }

    /// A name or an argument for an error: one line, cut to a length.
    private func text(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes.prefix(128), as: UTF8.self)
        return String(text.map { $0.isNewline ? " " : $0 })
    }
}

/// The next command. It has no words for an empty line; `nil` at the end.
func nextCommand(_ client: Connection) async throws -> [[UInt8]]? {
    guard let line = try await nextLine(client) else { return nil }
    guard line.first == UInt8(ascii: "*") else {
        return line.split(separator: UInt8(ascii: " ")).map(Array.init)
    }
    guard let count = Int(ascii: line.span[1...]), count <= argumentLimit else {
        throw ProtocolError("invalid multibulk length")
    }
    var command: [[UInt8]] = []
    while command.count < count, let line = try await nextLine(client) {
        guard line.first == UInt8(ascii: "$") else {
            let found = line.first.map { Character(Unicode.Scalar($0)) } ?? "\r"
            throw ProtocolError("expected '$', got '\(found)'")
        }
        guard let length = Int(ascii: line.span[1...]), (0...valueLimit).contains(length) else {
            throw ProtocolError("invalid bulk length")
        }
        command.append(try await client.read(exactly: length))
        _ = try await client.read(exactly: 2)
    }
    return command
}

func nextLine(_ client: Connection) async throws -> [UInt8]? {
    do {
        var line = try await client.read(until: UInt8(ascii: "\n"), limit: lineLimit)
        if line?.last == UInt8(ascii: "\r") { line?.removeLast() }
        return line
    } catch is TooLong {
        // The start of the line is still there.
        let counts: [UInt8: String] = [0x2A: "mbulk count string", 0x24: "bulk count string"]
        let start = try await client.read(exactly: 1)[0]
        throw ProtocolError("too big \(counts[start] ?? "inline request")")
    }
}

var options = Server.Options()
options.writeLimit = .seconds(5)

let store = Store()
try await Server.run(
    on: CommandLine.arguments.dropFirst().first ?? "localhost:6379", options: options,
    ready: { print("listening on \($0)") }
) { client in
    do {
        while let command = try await nextCommand(client) {
            if command.isEmpty { continue }
            switch await store.answer(command) {
            case .line(let line): try await client.write("\(line)\r\n")
            case .bulk(let value):
                try await client.write("$\(value.count)\r\n")
                try await client.write(value)
                try await client.write("\r\n")
            }
        }
    } catch let error as ProtocolError {
        try await client.write("-ERR Protocol error: \(error.words)\r\n")
    }
}
