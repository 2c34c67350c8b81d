import ArgumentParser
import Glibc
import Sluice
import Synchronization

/// Serves with a task for each client, until an interrupt. Then it goes on until everything is
/// sent, or until another interrupt.
func serveAsync(_ settings: ServeSettings) async throws {
    // A signal that comes after the end has nothing left to end.
    for number in interrupts { signal(number, SIG_IGN) }
    let output = settings.output
    let count = ServedCount()
    var options = Server.Options()
    options.backend = settings.backend
    options.loop = settings.loopOptions
    options.listener = settings.listenerOptions
    options.stopsOn = interrupts
    options.gracePeriod = ServeSettings.patience
    options.onError = { _, error in
        let code = (error as? SluiceError)?.code
        if let idleTimeout = settings.idleTimeout, code?.errno == .timedOut {
            return output.line("closed a connection: idle for \(idleTimeout)")
        }
        count.lost.add(1, ordering: .relaxed)
        output.line("lost a connection: \(code.map { "\($0.message) (\($0))" } ?? "\(error)")")
    }
    let ready: @Sendable (Address) -> Void = { address in
        output.line(
            "listening on \(address) with \(settings.backend)"
                + (settings.loops == 1 ? "" : " in \(counted(settings.loops, "loop"))"))
    }
    let echo: Server.Handler = { client in
        count.connections.add(1, ordering: .relaxed)
        for try await bytes in client.inbound {
            try await client.write(bytes)
            count.bytes.add(bytes.count, ordering: .relaxed)
        }
    }
    do {
        if let inherited = settings.inherited {
            try await Server.run(adopting: inherited, options: options, ready: ready, echo)
        } else {
            try await Server.run(
                on: settings.address.text, loops: .count(settings.loops), options: options,
                ready: ready, echo)
        }
    } catch let error as SluiceError {
        throw StartFailure(error, settings.inherited == nil ? settings.address : nil)
    }
    output.line("\(count)")
    // The output has said why already.
    if output.hasFailed { throw ExitCode.failure }
}

/// What several loops have served. It is not known what was queued for a connection that was lost.
private final class ServedCount: Sendable, CustomStringConvertible {
    let connections = Atomic(0)
    let bytes = Atomic(0)
    let lost = Atomic(0)

    var description: String {
        "served \(counted(connections.load(ordering: .relaxed), "connection"))"
            + " and \(counted(bytes.load(ordering: .relaxed), "byte"));"
            + " \(counted(lost.load(ordering: .relaxed), "connection")) lost"
    }
}
