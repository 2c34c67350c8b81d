// A chat room: each message is a line.
//
// It shows a program as a struct with its state, frames of lines, and a state for each stream. A
// client that does not read is dropped, and nobody else: what it does not take is queued up to the
// limit, and the write that goes over the limit ends that client.
//
//     swift run chat localhost:7000
//     nc localhost 7000        (twice, in two terminals)

import Sluice

struct Room: EventHandler {
    /// The names of those in the room. By itself it forgets a stream that has ended.
    let names: PerStream<String>
    var guests = 0

    mutating func handle(_ event: Event, in loop: borrowing EventLoop) {
        switch event {
        case .accepted(let stream, _):
            guests += 1
            let name = "guest\(guests)"
            names[stream] = name
            loop.write("* you are \(name); /nick NAME, /who, /quit\n", to: stream)
            tell("* \(name) has joined", except: stream, in: loop)
        case .data(let stream, let bytes):
            var lines = loop.frames(of: stream, in: bytes, by: .lines(limit: 1_000))
            // After /quit, nothing else that came is said.
            while names[stream] != nil, let line = lines.next() {
                said(String(decoding: line, as: UTF8.self), by: stream, in: loop)
            }
        case .closed(let stream, let ending):
            if let name = names.remove(stream) {
                let reason = ending.error.map { ": \($0.message)" } ?? ""
                tell("* \(name) has left\(reason)", except: stream, in: loop)
            }
        default: break
        }
    }

    func said(_ line: String, by stream: StreamID, in loop: borrowing EventLoop) {
        guard let name = names[stream] else { return }
        let words = line.split(separator: " ", maxSplits: 1)
        switch words.first {
        case "/nick":
            rename(stream, words.count > 1 ? String(words[1]) : "", in: loop)
        case "/who":
            let all = names.map(\.state).sorted().joined(separator: " ")
            loop.write("* here are \(all)\n", to: stream)
        case "/quit":
            names.remove(stream)
            loop.write("* goodbye\n", to: stream)
            loop.close(stream)
            tell("* \(name) has left", except: stream, in: loop)
        case .some(let word) where word.hasPrefix("/"):
            loop.write("* there is no \(word)\n", to: stream)
        case .some:
            tell("\(name): \(line)", except: stream, in: loop)
        case nil: break
        }
    }

    func rename(_ stream: StreamID, _ name: String, in loop: borrowing EventLoop) {
        guard let old = names[stream] else { return }
        // A character may have any number of bytes, and each line begins with a name.
        guard (1...20).contains(name.count), name.utf8.count <= 80,
            !name.contains(where: \.isWhitespace)
        else {
            loop.write("* a name is 1 to 20 characters without a space\n", to: stream)
            return
        }
        guard !names.contains(where: { $0.state == name }) else {
            loop.write("* \(name) is taken\n", to: stream)
            return
        }
        names[stream] = name
        loop.write("* you are \(name)\n", to: stream)
        tell("* \(old) is now \(name)", except: stream, in: loop)
    }

    func tell(_ line: String, except speaker: StreamID, in loop: borrowing EventLoop) {
        for (stream, _) in names where stream != speaker { loop.write("\(line)\n", to: stream) }
    }
}

// This is what one client may leave unread. Before that, the kernel's own buffers take some. A
// client may send many short lines, and each is sent on with a name in front, but only after the
// event has been handled. So little is read at once that this stays within the limit for those who
// read all the time.
let options = EventLoop.Options(receiveSize: 4 << 10, highMark: 64 << 10, hardLimit: 256 << 10)

try EventLoop.run(options: options) { loop in
    let listener = try loop.listen(on: CommandLine.arguments.dropFirst().first ?? "localhost:7000")
    print("listening on \(try loop.localAddress(of: listener))")
    return Room(names: PerStream(in: loop))
}
