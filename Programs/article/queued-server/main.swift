// Step 2: reading apart from writing, with a queue for each connection.
//
// What a client sent goes into its queue, and is sent when select says that the client can take it.
// The second list, `outputs`, holds the clients with something in their queue, and only those. A
// socket with room is always writable. So the server must not ask about one that has nothing to
// send, or select returns at once for ever and the server spins.
//
// Without the queue, an answer that does not fit must be waited for (and everybody waits) or
// thrown away.
//
// What was wrong in the article:
// - A client that spoke twice before it was answered stood twice in `outputs`, and after one answer
//   was taken out only once, with an empty queue.
// - One piece was taken from the queue, and the socket was taken from `outputs` even if more was
//   queued. The rest stayed until the client spoke again.
// - `sendall` blocks, in the very loop that is there to avoid blocking.
// - When a client had said all it wanted (half-close), its queue was deleted while its socket was
//   still in `outputs`. The answer was lost, and the next turn failed on the missing queue.

import ArticleSupport
import Sluice
import SystemPackage

let options = Options.parseOrExit()
let server = orExit { try FileDescriptor.listen(on: options.address) }
show("listening on", try server.localAddress())

var inputs = [server]
var outputs: [FileDescriptor] = []
var queues: [FileDescriptor: [UInt8]] = [:]
var buffer = ReceiveBuffer(capacity: 1024)

while true {
    let ready = try select(
        over: options.backend, reading: inputs, writing: outputs, timeout: .milliseconds(500))
    show("inputs", inputs)
    show("readable", ready.readable)
    show("writable", ready.writable)
    for r in ready.readable {
        if r == server { acceptOne() } else { attempt(r, read) }
    }
    // A client that the loop above has closed has no queue any more.
    for w in ready.writable where queues[w] != nil {
        attempt(w, write)
    }
}

func acceptOne() {
    do {
        guard let connection = try server.accept() else { return }
        inputs.append(connection)
        queues[connection] = []
        show("accepted", (try? connection.peerAddress()) ?? "one who has left")
    } catch {
        // Most likely no descriptors are left. The caller stays in the kernel's queue, and keeps
        // the server readable. To go on asking would be to spin. So it asks again when a client
        // leaves.
        show("not accepted", error)
        inputs.removeAll { $0 == server }
    }
}

func attempt(_ connection: FileDescriptor, _ step: (FileDescriptor) throws -> Void) {
    do {
        try step(connection)
    } catch {
        show("lost", error)
        close(connection)
    }
}

func read(_ r: FileDescriptor) throws {
    switch try r.receive(into: &buffer) {
    case .bytes:
        if queues[r]!.isEmpty { outputs.append(r) }
        queues[r]!.append(contentsOf: buffer.bytes)
    case .wouldBlock:
        break
    case .endOfStream:
        // It has said all it wanted, but may still be waiting for the answer.
        inputs.removeAll { $0 == r }
        if queues[r]!.isEmpty { close(r) }
    }
}

func write(_ w: FileDescriptor) throws {
    let sent = try w.send(queues[w]!)
    queues[w]!.removeFirst(sent)
    guard queues[w]!.isEmpty else { return }
    outputs.removeAll { $0 == w }
    if !inputs.contains(w) { close(w) }
}

func close(_ connection: FileDescriptor) {
    inputs.removeAll { $0 == connection }
    outputs.removeAll { $0 == connection }
    queues[connection] = nil
    try? connection.close()
    if !inputs.contains(server) { inputs.append(server) }
}
