// Step 1: one list, one select, echo at once.
//
// One thread serves many clients, because it never waits for one of them. It waits for all of them
// together, and select says which have something to read. The listening socket is one of them: when
// it is readable, somebody wants to be let in.
//
// Without select, `accept` and `receive` block: while the server waits for one client to speak, all
// others wait for the server.
//
// What was wrong in the article:
// - `sendall` blocks until the client has taken everything. One client that does not read stops the
//   server for all. Here a send takes what fits. This server has nowhere to keep the rest, so it
//   drops a client who does not read. Step 2 gives each client a queue.
// - A client that left was taken from the list and never closed: a descriptor lost with each.
// - A client that vanished raised an exception, which ended the server.

import ArticleSupport
import Sluice
import SystemPackage

let options = Options.parseOrExit()
let server = orExit { try FileDescriptor.listen(on: options.address) }
show("listening on", try server.localAddress())

var inputs = [server]
var buffer = ReceiveBuffer(capacity: 1024)

while true {
    let ready = try select(over: options.backend, reading: inputs, timeout: .milliseconds(500))
    show("inputs", inputs)
    show("readable", ready.readable)
    for r in ready.readable {
        if r == server {
            acceptOne()
        } else if !echo(r) {
            close(r)
        }
    }
}

func acceptOne() {
    do {
        // There is none if the caller gave up meanwhile. That is why `server` does not block.
        guard let connection = try server.accept() else { return }
        inputs.append(connection)
        show("accepted", (try? connection.peerAddress()) ?? "one who has left")
    } catch {
        // Most likely no descriptors are left. The caller stays in the kernel's queue, and keeps
        // the server readable. To go on asking would be to spin. So it asks again when a client
        // leaves.
        show("not accepted", error)
        inputs.removeAll { $0 == server }
    }
}

func close(_ connection: FileDescriptor) {
    inputs.removeAll { $0 == connection }
    try? connection.close()
    if !inputs.contains(server) { inputs.append(server) }
}

/// False when nothing more can be done for this client.
func echo(_ r: FileDescriptor) -> Bool {
    do {
        switch try r.receive(into: &buffer) {
        case .bytes(let count):
            if try r.send(buffer.bytes) == count { return true }
            show("does not read its answers", [r])
            return false
        case .wouldBlock:
            return true
        case .endOfStream:
            return false
        }
    } catch {
        show("lost", error)
        return false
    }
}
