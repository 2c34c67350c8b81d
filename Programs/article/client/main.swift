// Step 4: the client, with its prompt.
//
// Standard input is a descriptor like any other, so the client waits for the keyboard and the server
// together, and deals with whichever speaks.
//
// What was wrong in the article: `input(">>:")` blocks until a line is typed. Whatever the server
// says meanwhile is not seen. Then `recv` blocks until the server answers, and what is typed
// meanwhile is not sent. An answer of over 1,024 bytes came out in part, and the rest came as the
// answer to the next line. The loop never ended, so the socket was never closed.

import ArticleSupport
import Sluice
import SystemPackage

let options = Options.parseOrExit()
let keyboard = FileDescriptor.standardInput
let screen = FileDescriptor.standardOutput
let server = orExit { try connect() }

var inputs = [server, keyboard]
var queue: [UInt8] = []
var buffer = ReceiveBuffer(capacity: 1024)

var promptIsDue = true

orExit {
    while inputs.contains(server) {
        let ready = try select(
            over: options.backend,
            // The last line that was typed goes out before more is asked for.
            reading: queue.isEmpty ? inputs : [server],
            writing: queue.isEmpty ? [] : [server],
            timeout: promptIsDue ? .zero : nil)
        // An answer may be longer than the buffer: prompt only when no more of it is there.
        if promptIsDue && !ready.readable.contains(server) { prompt() }
        for r in ready.readable {
            if r == keyboard { try readKeyboard() } else { try readServer() }
        }
        if ready.writable == [server] {
            queue.removeFirst(try server.send(queue))
            finishIfDone()
        }
    }
    try server.close()
}

func connect() throws -> FileDescriptor {
    let server = try FileDescriptor.connect(to: options.address)
    _ = try select(over: options.backend, writing: [server])
    try server.finishConnecting()
    return server
}

func readKeyboard() throws {
    switch try keyboard.receive(into: &buffer) {
    case .bytes: queue.append(contentsOf: buffer.bytes)
    case .wouldBlock: break
    case .endOfStream:
        inputs.removeAll { $0 == keyboard }
        finishIfDone()
    }
}

func readServer() throws {
    switch try server.receive(into: &buffer) {
    case .bytes:
        var answer: [UInt8] = []
        answer.append(contentsOf: buffer.bytes)
        try screen.writeAll(answer)
        promptIsDue = true
    case .wouldBlock: break
    case .endOfStream: inputs.removeAll { $0 == server }
    }
}

/// Says that there is no more to come, and still reads what the server has to answer.
func finishIfDone() {
    // The server may have gone first. Then its end of stream is what ends us.
    if queue.isEmpty && !inputs.contains(keyboard) { try? server.finishSending() }
}

func prompt() {
    promptIsDue = false
    if inputs.contains(keyboard) { _ = try? screen.writeAll(">>:".utf8) }
}
