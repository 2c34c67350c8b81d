// A server that speaks the Redis protocol: PING, ECHO, SET, GET, INCR, DEL, EXISTS, and what
// redis-cli and redis-benchmark ask besides. Commands come as arrays or as lines, pipelined or not.
//
// It shows a final class as a program, and a parser without a buffer: what is incomplete is held.
//
//     swift run redis localhost:6379
//     redis-cli set greeting hello
//     redis-benchmark -t ping,set,get,incr -q

import Sluice

/// The most bytes of a value, and the most arguments of a command. A command that comes in pieces
/// is parsed again for each of its arguments, so there must not be many.
let valueLimit = 128 << 20
let argumentLimit = 1_024
let lineLimit = 64 << 10

/// An error that ends the client who made it.
struct ProtocolError: Error {
    let words: String
    init(_ words: String) { self.words = words }
}

final class Store: EventHandler {
    private var values: [[UInt8]: [UInt8]] = [:]

    func handle(_ event: Event, in loop: borrowing EventLoop) throws {
        guard case .data(let stream, let bytes) = event else { return }
        do {
            var (start, needed) = (0, 0)
            while let command = try nextCommand(in: bytes, from: &start, needing: &needed) {
                if !command.isEmpty { answer(command, in: bytes, of: stream, loop) }
            }
            try loop.hold(last: bytes.count - start, of: stream, until: needed)
        } catch let error as ProtocolError {
            loop.write("-ERR Protocol error: \(error.words)\r\n", to: stream)
            loop.close(stream)
        }
    }

    private func answer(
        _ command: [Range<Int>], in bytes: Span<UInt8>, of stream: StreamID,
        _ loop: borrowing EventLoop
    ) {
        func argument(_ index: Int) -> [UInt8] { [UInt8](bytes[command[index]]) }
        func say(_ answer: String) { loop.write("\(answer)\r\n", to: stream) }
        func sayBulk(_ value: Span<UInt8>) {
            loop.write("$\(value.count)\r\n".utf8Span.span, then: value, to: stream)
            loop.write("\r\n", to: stream)
        }
        let name = text(bytes[command[0]])
        switch (name.lowercased(), command.count) {
        case ("ping", 1): say("+PONG")
        case ("ping", 2), ("echo", 2): sayBulk(bytes[command[1]])
        case ("set", 3):
            values[argument(1)] = argument(2)
            say("+OK")
        case ("set", 4...): say("-ERR syntax error")
        case ("get", 2):
            if let value = values[argument(1)] { sayBulk(value.span) } else { say("$-1") }
        case ("incr", 2):
            let text = values[argument(1), default: [0x30]]
            // Only digits as we would write them: no "+1" and no "01".
            guard let number = Int(ascii: text.span), Array("\(number)".utf8) == text else {
                return say("-ERR value is not an integer or out of range")
            }
            guard number < .max else {
                return say("-ERR increment or decrement would overflow")
            }
            values[argument(1)] = Array("\(number + 1)".utf8)
            say(":\(number + 1)")
        case ("del", 2...):
            say(":\((1..<command.count).count { values.removeValue(forKey: argument($0)) != nil })")
        case ("exists", 2...):
            say(":\((1..<command.count).count { values[argument($0)] != nil })")
        case ("command", _): say("*0")
        case ("config", 3) where bytes[command[1]].elementsEqual("get", ignoringCase: true):
            say("*2")
            sayBulk(bytes[command[2]])
            say("$0\r\n")
        case ("ping", _), ("echo", _), ("set", _), ("get", _), ("incr", _), ("del", _),
            ("exists", _), ("config", _):
            say("-ERR wrong number of arguments for '\(name.lowercased())' command")
        default:
            let rest = command.dropFirst().prefix(8).map { "'\(text(bytes[$0]))' " }
            say("-ERR unknown command '\(name)', with args beginning with: \(rest.joined())")
        }
    }

    /// A name or an argument for an error: one line, cut to a length.
    private func text(_ bytes: Span<UInt8>) -> String {
        let text = String(decoding: bytes.extracting(first: 128), as: UTF8.self)
        return String(text.map { $0.isNewline ? " " : $0 })
    }
}

/// Where the arguments of the next command are. `start` is set behind them. `nil` if the command is
/// incomplete: then `needed` is how many bytes it has at least, if that is known.
func nextCommand(
    in bytes: Span<UInt8>, from start: inout Int, needing needed: inout Int
) throws(ProtocolError) -> [Range<Int>]? {
    var place = start
    guard place < bytes.count, let line = try nextLine(in: bytes, from: &place) else { return nil }
    guard bytes[line].first == UInt8(ascii: "*") else {
        start = place
        let words = line.split { bytes[$0] == UInt8(ascii: " ") }
        return words.map { $0.startIndex..<$0.endIndex }
    }
    guard let count = Int(ascii: bytes[line][1...]), count <= argumentLimit else {
        throw ProtocolError("invalid multibulk length")
    }
    var command: [Range<Int>] = []
    while command.count < count {
        guard place < bytes.count else { return nil }
        guard bytes[place] == UInt8(ascii: "$") else {
            throw ProtocolError("expected '$', got '\(Character(Unicode.Scalar(bytes[place])))'")
        }
        guard let line = try nextLine(in: bytes, from: &place) else { return nil }
        guard let length = Int(ascii: bytes[line][1...]), (0...valueLimit).contains(length) else {
            throw ProtocolError("invalid bulk length")
        }
        needed = place + length + 2 - start
        guard bytes.count - start >= needed else { return nil }
        command.append(place..<(place + length))
        place += length + 2
    }
    (start, needed) = (place, 0)
    return command
}

func nextLine(in bytes: Span<UInt8>, from start: inout Int) throws(ProtocolError) -> Range<Int>? {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n"), from: start) else {
        guard bytes.count - start > lineLimit else { return nil }
        let counts: [UInt8: String] = [0x2A: "mbulk count string", 0x24: "bulk count string"]
        throw ProtocolError("too big \(counts[bytes[start]] ?? "inline request")")
    }
    defer { start = end + 1 }
    let hasReturn = end > start && bytes[end - 1] == UInt8(ascii: "\r")
    return start..<(hasReturn ? end - 1 : end)
}

// A value is held while it comes, and queued if it is not taken. Over this limit a client ends.
let options = EventLoop.Options(hardLimit: 256 << 20)

try EventLoop.run(options: options) { loop in
    let listener = try loop.listen(on: CommandLine.arguments.dropFirst().first ?? "localhost:6379")
    print("listening on \(try loop.localAddress(of: listener))")
    return Store()
}
