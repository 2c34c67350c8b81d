// A TCP proxy: whoever calls is connected to the upstream, and bytes go both ways, without a copy
// and without an event. Backpressure and half-closes are passed on.
//
// It shows `forward`, and a program as a closure.
//
//     swift run proxy localhost:8080 example.com:80
//     curl -H 'Host: example.com' http://localhost:8080/

import Sluice

/// The streams are in pairs. The user word of each is the other one.
func serve(on address: Address, upstream: Address) throws {
    var loop = try EventLoop()
    let listener = try loop.listen(on: address)
    print("listening on \(try loop.localAddress(of: listener)), forwarding to \(upstream)")

    try loop.run { event, loop in
        switch event {
        case .accepted(let client, _):
            // If a connect cannot even be tried, for example without memory, only this client ends.
            guard let server = try? loop.connect(to: upstream) else {
                loop.abort(client)
                return
            }
            loop.setUserWord(server.rawValue, of: client)
            loop.setUserWord(client.rawValue, of: server)
            // What the client says before the upstream is connected waits in the upstream's queue.
            loop.forward(from: client, to: server)
            loop.forward(from: server, to: client)
        case .closed(let stream, let ending):
            let other = StreamID(rawValue: loop.userWord)
            if let error = ending.error {
                print("\(stream): \(loop.nameProblem(of: stream) ?? error.message)")
            }
            // If both have ended, this does nothing.
            if ending.error == nil || ending.inputEnded {
                // What is queued for the other one is still sent.
                loop.close(other)
            } else {
                // A part must not look whole.
                loop.abort(other)
            }
        default: break
        }
    }
}

guard CommandLine.arguments.count == 3 else {
    fatalError("usage: proxy ADDRESS UPSTREAM, such as localhost:8080 example.com:80")
}
try serve(on: Address(CommandLine.arguments[1]), upstream: Address(CommandLine.arguments[2]))
