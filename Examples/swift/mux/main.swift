// Standard input, a child process, a timer and signals, all waited for at once, in one thread.
//
// It shows a program of functions, a watch, an adopted pipe, and a mailbox. Foundation reports the
// child's end on a thread of its own, and the loop hears of it like of everything else.
//
//     swift run mux sh -c 'for i in 1 2 3; do echo $i; sleep 1; done'
//
// Type lines meanwhile. It ends when the child has ended and everything that the child said was
// read. The first Ctrl-C asks the child to end. The second does not wait for it.

import Foundation
import Sluice
import SystemPackage

func run(_ command: [String]) throws {
    var loop = try EventLoop()
    // This comes before the child, and before Foundation starts threads, which must not take a
    // signal.
    let interrupt = try loop.addSignal(SIGINT)
    let terminate = try loop.addSignal(SIGTERM)
    let keyboard = try loop.watch(.standardInput, for: .read)
    let clock = try loop.addTimer(after: .seconds(1), every: .seconds(1))
    let endings = Mailbox<Int32>(of: loop)
    let (child, output) = try start(command, endings, in: loop)

    var buffer = ReceiveBuffer(capacity: 4_096)
    var seconds = 0
    var isOutputOver = false
    var isEnding = false
    var status: Int32?
    while status == nil || !isOutputOver {
        guard try loop.next() else { continue }
        switch loop.event {
        case .ready(keyboard, _):
            switch try FileDescriptor.standardInput.receive(into: &buffer) {
            case .bytes: say("input", buffer.bytes)
            case .wouldBlock: break
            case .endOfStream:
                say("end of input")
                loop.close(keyboard)
            }
        case .data(output, let bytes):
            var lines = loop.frames(of: output, in: bytes, by: .lines(limit: 64 << 10))
            while let line = lines.next() { say("child", line) }
        case .closed(output, let ending):
            say("end of the child's output: \(ending)")
            isOutputOver = true
        case .posted(endings.word):
            status = endings.take().last
        case .timer(clock):
            seconds += 1
            say("\(seconds) s")
        case .signal(let signal) where signal == interrupt || signal == terminate:
            say("signal \(signal.number)")
            // The child may have started others, which go on and keep the output open.
            if isEnding { return say("not waiting for the child") }
            isEnding = true
            // Not by one of our own signals: what is blocked here is blocked in the child, too.
            kill(child.processIdentifier, SIGHUP)
        default: break
        }
    }
    say("the child has ended with \(status ?? 0)")
}

/// Starts a process. Its output is a stream of the loop, and its end is put in a mailbox.
func start(
    _ command: [String], _ endings: Mailbox<Int32>, in loop: borrowing EventLoop
) throws -> (Process, StreamID) {
    let (reading, writing) = try FileDescriptor.pipe()
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    child.arguments = command
    child.standardInput = FileHandle.nullDevice
    child.standardOutput = FileHandle(fileDescriptor: writing.rawValue)
    child.terminationHandler = { endings.send($0.terminationStatus) }
    try child.run()
    // The end of the output is seen only if nobody but the child can write.
    try writing.close()
    return (child, try loop.adopt(reading))
}

func say(_ text: String, _ bytes: Span<UInt8> = Span()) {
    let line = bytes.isEmpty ? text : "\(text): \(String(decoding: bytes.trimmed, as: UTF8.self))"
    // If the output is a pipe, print would keep the line back.
    _ = try? FileDescriptor.standardOutput.writeAll("\(line)\n".utf8)
}

let command = Array(CommandLine.arguments.dropFirst())
try run(command.isEmpty ? ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 1; done"] : command)
