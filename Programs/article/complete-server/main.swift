// Step 3: the complete server, with the third list.
//
// The third list is for what select calls exceptional. The article takes that for errors. It is
// something else: out-of-band data, a byte that TCP marks as urgent. (An error makes a socket
// readable, and the receive then says which error it is.) This server, like the article's, has no
// use for an urgent byte, and closes the connection of a client that sends one.
//
// Whatever the reason to close a connection, there is one way to do it, `close`, which leaves no
// trace in any of the lists. And there is a limit on what is queued for one client: a client that
// sends and never reads is not read from any more, until it has taken some of its answers
// (backpressure).
//
// Without the third list, urgent data goes unseen. Without one way to clean up, each place that
// closes forgets another list. Without the limit, one client can fill the server's memory.
//
// What was wrong in the article, besides what steps 1 and 2 say:
// - A client in trouble was closed while its socket might still be in `rlist` or `wlist` of the
//   same turn. Then it would be read from or written to after the close.
// - A client that left by itself was cleaned up in another way than one in trouble, and less
//   thoroughly.

import ArticleSupport
import Sluice
import SystemPackage

let options = Options.parseOrExit()
let server = orExit { try FileDescriptor.listen(on: options.address) }
show("listening on", try server.localAddress())

let queueLimit = 1 << 20
var inputs = [server]
var outputs: [FileDescriptor] = []
var queues: [FileDescriptor: [UInt8]] = [:]
var buffer = ReceiveBuffer(capacity: 1024)

while true {
    let ready = try select(
        over: options.backend,
        reading: inputs.filter { queues[$0, default: []].count < queueLimit },
        writing: outputs, excepting: inputs, timeout: .milliseconds(500))
    show("inputs", inputs)
    show("readable", ready.readable)
    show("writable", ready.writable)
    show("exceptional", ready.exceptional)
    // This comes first, so that the other two loops pass over the sockets that are closed here.
    // Each number may soon belong to a new client, about whom select was not asked yet. To read
    // from it could pass over an urgent byte that the third list has not shown.
    for e in ready.exceptional { close(e) }
    for r in ready.readable where !ready.exceptional.contains(r) {
        if r == server { acceptOne() } else { attempt(r, read) }
    }
    // A client that the loop above has closed has no queue any more.
    for w in ready.writable where queues[w] != nil && !ready.exceptional.contains(w) {
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
