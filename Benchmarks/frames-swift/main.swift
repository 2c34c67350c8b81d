// What it costs to cut what was received into lines: messages of 16 lines of 32 bytes each, received
// and cut, or received only. The difference of the two, over the lines, is the figure.

import Glibc
import Sluice
import SystemPackage

struct Usage: Error, CustomStringConvertible {
    let description = "usage: frames-swift lines|none ROUNDS"
}

func main(_ arguments: [String]) throws {
    guard arguments.count == 3, let rounds = Int(arguments[2]) else { throw Usage() }
    let cuts = arguments[1] == "lines"
    let line = [UInt8](repeating: UInt8(ascii: "x"), count: 31) + [UInt8(ascii: "\n")]
    let message = Array((0..<16).map { _ in line }.joined())

    var loop = try EventLoop()
    let listener = try FileDescriptor.listen(on: "unix:@sluice-frames-swift-\(getpid())")
    let near = try FileDescriptor.connect(to: try listener.localAddress())
    guard let far = try listener.accept() else { return }
    try loop.adopt(near)

    var text = 0
    var bytes = 0
    for _ in 0..<rounds {
        _ = try far.send(message)
        while try loop.next(timeout: .zero) {
            guard case .data(let stream, let received) = loop.event else { continue }
            bytes += received.count
            guard cuts else { continue }
            var frames = loop.frames(of: stream, in: received, by: .lines())
            while let line = frames.next() { text &+= line.count }
        }
    }
    print(text, bytes)
}

try main(CommandLine.arguments)
