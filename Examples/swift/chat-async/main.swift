// A chat room: each message is a line. The pulled twin is in chat.
//
// It shows an actor for what connections share. A server's tasks prefer its thread, and so the
// actor runs on it too. It writes to everybody without waiting: a client who does not read is
// dropped, and nobody else.
//
//     swift run chat-async localhost:7000
//     nc localhost 7000        (twice, in two terminals)

import Sluice

actor Room {
    private var names: [ObjectIdentifier: String] = [:]
    private var guests: [Connection] = []
    private var count = 0

    func enter(_ guest: Connection) {
        count += 1
        guests.append(guest)
        names[ObjectIdentifier(guest)] = "guest\(count)"
        tell("* you are guest\(count); /nick NAME, /who, /quit", to: guest)
        tellOthers("* guest\(count) has joined", guest)
    }

    func leave(_ guest: Connection, _ reason: String) {
        guests.removeAll { $0 === guest }
        guard let name = names.removeValue(forKey: ObjectIdentifier(guest)) else { return }
        tellOthers("* \(name) has left\(reason)", guest)
    }

    func say(_ line: String, _ guest: Connection) {
        guard let name = names[ObjectIdentifier(guest)] else { return }
        let words = line.split(separator: " ", maxSplits: 1)
        switch words.first {
        case "/nick": rename(guest, name, to: words.count > 1 ? String(words[1]) : "")
        case "/who": tell("* here are \(names.values.sorted().joined(separator: " "))", to: guest)
        case .some(let word) where word.hasPrefix("/"): tell("* there is no \(word)", to: guest)
        case .some: tellOthers("\(name): \(line)", guest)
        case nil: break
        }
    }

    private func rename(_ guest: Connection, _ old: String, to name: String) {
        // A character may have any number of bytes, and each line begins with a name.
        guard (1...20).contains(name.count), name.utf8.count <= 80,
            !name.contains(where: \.isWhitespace)
        else {
            return tell("* a name is 1 to 20 characters without a space", to: guest)
        }
        guard !names.values.contains(name) else { return tell("* \(name) is taken", to: guest) }
        names[ObjectIdentifier(guest)] = name
        tell("* you are \(name)", to: guest)
        tellOthers("* \(old) is now \(name)", guest)
    }

    private func tellOthers(_ line: String, _ guest: Connection) {
        for other in guests where other !== guest { tell(line, to: other) }
    }

    func tell(_ line: String, to guest: Connection) {
        // If there is no room for the line, the guest's own task ends, and says so.
        do { try guest.tryWrite("\(line)\n") } catch { guest.abort() }
    }
}

var options = Server.Options()
// This is what one guest may leave unread. Before that, the kernel's own buffers take some.
options.loop = EventLoop.Options(highMark: 64 << 10, hardLimit: 256 << 10)

let room = Room()
try await Server.run(
    on: CommandLine.arguments.dropFirst().first ?? "localhost:7000", options: options,
    ready: { print("listening on \($0)") }
) { guest in
    await room.enter(guest)
    do {
        while let line = try await guest.readLine(limit: 1_000) {
            guard line != "/quit" else {
                await room.tell("* goodbye", to: guest)
                break
            }
            await room.say(line, guest)
        }
        await room.leave(guest, "")
    } catch {
        await room.leave(guest, ": \(error)")
        throw error
    }
}
