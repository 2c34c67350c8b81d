// A TCP proxy: whoever calls is connected to the upstream, and bytes go both ways. Backpressure and
// half-closes are passed on. The pulled twin is in proxy.
//
// It shows a client within a server, and two tasks on two connections, all on one thread.
//
//     swift run proxy-async localhost:8080 example.com:80
//     curl -H 'Host: example.com' http://localhost:8080/

import Sluice

guard CommandLine.arguments.count == 3 else {
    fatalError("usage: proxy-async ADDRESS UPSTREAM, such as localhost:8080 example.com:80")
}
let upstream = CommandLine.arguments[2]
var options = Server.Options()
options.onError = { _, error in print(error) }

try await Server.run(
    on: CommandLine.arguments[1], options: options,
    ready: { print("listening on \($0), forwarding to \(upstream)") }
) { client in
    // This runs on the client's loop. What the client says until then waits, and TCP slows it down.
    try await Client.connect(to: upstream, on: client.loop) { server in
        // A side that takes no more may still have something to say: its own way goes on. If a side
        // is cut off, the other way is cancelled, and both connections end.
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { _ = try await client.forward(to: server) }
            group.addTask { _ = try await server.forward(to: client) }
        }
    }
}
