// ROUNDS waits of a `Poller` on which COUNT descriptors are always ready: ready.c in Swift.

import Sluice
import SystemPackage

struct Usage: Error, CustomStringConvertible {
    let description = "usage: ready-swift BACKEND COUNT ROUNDS, with COUNT at least 1"
}

func main(_ arguments: [String]) throws {
    guard arguments.count == 4, let backend = Backend(arguments[1]), let count = Int(arguments[2]),
        let rounds = Int(arguments[3]), count >= 1
    else { throw Usage() }
    var poller = try Poller(backend, batch: count)
    for index in 0..<count {
        // A pipe has room, and is therefore always ready to be written to.
        let (_, writeEnd) = try FileDescriptor.pipe()
        try poller.add(writeEnd, interest: .write, user: UInt64(index))
    }
    var sum: UInt64 = 0
    for _ in 0..<rounds {
        try poller.wait()
        while let event = poller.next() { sum += event.user }
    }
    print(sum)
}

try main(CommandLine.arguments)
