// An echo server on an `EventLoop`: the six lines of the design in Swift, and an end.

import Glibc
import Sluice

struct Usage: Error, CustomStringConvertible {
    let description = "usage: echo-swift ADDRESS BACKEND [pull|run]"
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

func main(_ arguments: [String]) throws {
    guard arguments.count >= 3, let backend = Backend(arguments[2]) else { throw Usage() }
    var loop = try EventLoop(backend)
    try loop.addSignal(SIGTERM)
    let listener = try loop.listen(on: Address(arguments[1]))
    print(try loop.localAddress(of: listener))
    fflush(nil)
    if arguments.count > 3, arguments[3] == "run" { try run(&loop) } else { try pull(&loop) }
}

try main(CommandLine.arguments)
