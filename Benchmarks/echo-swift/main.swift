// An echo server on an `EventLoop`: the six lines of the design in Swift, and an end.

import Glibc
import Sluice

struct Usage: Error, CustomStringConvertible {
    let description = "usage: echo-swift ADDRESS BACKEND [pull|run|answer]"
}

/// Pulls its events, as one does in C.
func pull(_ loop: inout EventLoop) throws {
    while try loop.next() {
        switch loop.event {
        case .data(let stream, let bytes): loop.write(bytes, to: stream)
        case .signal: return
        default: break
        }
    }
}

/// Is handed its events.
func run(_ loop: inout EventLoop) throws {
    try loop.run { event, loop in
        switch event {
        case .data(let stream, let bytes): loop.write(bytes, to: stream)
        case .signal: loop.stop()
        default: break
        }
    }
}

/// Answers each 64 bytes with 1 KiB of its own memory, which has as much as one receive may ask for.
/// What has come of the next 64 is the stream's user word.
func answer(_ loop: inout EventLoop) throws {
    let request = 64
    let answer = 1024
    let answers = (0..<65536 / request * answer).map { UInt8($0 % answer % 251) }
    while try loop.next() {
        switch loop.event {
        case .data(let stream, let bytes):
            let length = Int(loop.userWord) + bytes.count
            loop.write(answers.span.extracting(0..<length / request * answer), to: stream)
            let begun = UInt64(length % request)
            if begun != loop.userWord { loop.setUserWord(begun, of: stream) }
        case .signal: return
        default: break
        }
    }
}

func main(_ arguments: [String]) throws {
    guard arguments.count >= 3, let backend = Backend(arguments[2]) else { throw Usage() }
    var loop = try EventLoop(backend)
    try loop.addSignal(SIGTERM)
    let listener = try loop.listen(on: Address(arguments[1]))
    print(try loop.localAddress(of: listener))
    fflush(nil)
    switch arguments.count > 3 ? arguments[3] : "pull" {
    case "run": try run(&loop)
    case "answer": try answer(&loop)
    default: try pull(&loop)
    }
}

try main(CommandLine.arguments)
