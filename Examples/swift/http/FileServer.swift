// A web server for the files of a folder: GET and HEAD, keep-alive, pipelining, and one range.
//
// It shows @main, frames, and files that the kernel sends: a large file or a slow client takes no
// memory. No path leads out of the folder, except through a symlink in it.
//
//     swift run http . localhost:8080
//     curl -i -r 0-99 http://localhost:8080/Package.swift

import Foundation
import Sluice
import SystemPackage

let types = ["html": "text/html", "txt": "text/plain", "css": "text/css", "png": "image/png"]

/// A request is its head. A longer one is refused.
let heads = Framing.delimited(by: "\r\n\r\n", limit: 16 << 10)

@main
struct FileServer: EventHandler {
    let root: String
    let connections: PerStream<Connection>

    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst() + [".", "localhost:8080"]
        let options = ListenerOptions(streams: StreamOptions(idleTimeout: .seconds(60)))
        try EventLoop.run { loop in
            let listener = try loop.listen(on: arguments[2], options: options)
            print("listening on \(try loop.localAddress(of: listener))")
            return FileServer(root: arguments[1], connections: PerStream(in: loop))
        }
    }

    func handle(_ event: Event, in loop: borrowing EventLoop) throws {
        switch event {
        case .accepted(let stream, _): connections[stream] = Connection()
        case .data(let stream, let bytes):
            guard let connection = connections[stream] else { return }
            var requests = loop.frames(of: stream, in: bytes, by: heads)
            var count = 0
            while count < 16, let head = requests.next() {
                count += 1
                let text = String(decoding: head, as: UTF8.self)
                loop.write(connection.answer(to: text, from: root), to: stream)
                send(connection, on: stream, in: loop)
                guard connection.keepsAlive else { return }
                // Until the whole file has gone, nothing else is looked at, not even the end.
                if connection.left > 0 { return _ = loop.pause(stream) }
            }
            if requests.takeRefusal() != nil {
                loop.write(connection.answer(to: nil, from: root), to: stream)
                loop.close(stream)
            } else if count == 16 {
                // Not too much is done in one turn. What is left comes again in the next.
                loop.pause(stream)
                loop.resume(stream)
            }
        case .drained(let stream):
            if let connection = connections[stream] { send(connection, on: stream, in: loop) }
        default: break
        }
    }

    /// Sends as much of the file as there is room for. The rest goes when the stream has drained.
    func send(_ connection: Connection, on stream: StreamID, in loop: borrowing EventLoop) {
        if connection.left > 0, let file = connection.file {
            let (next, left) = (connection.next, connection.left)
            // If this fails, the client has gone, or the file is shorter than the answer said.
            guard let sent = try? loop.send(file: file, from: next, count: left, to: stream)
            else { return _ = loop.abort(stream) }
            connection.next += Int64(sent)
            connection.left -= sent
            if connection.left > 0 { return }
        }
        if connection.keepsAlive { loop.resume(stream) } else { loop.close(stream) }
    }
}

final class Connection {
    /// Whether another answer may follow this one.
    var keepsAlive = true
    /// What has not been sent of the file yet.
    var next: Int64 = 0
    var left = 0 { didSet { if left == 0 { file = nil } } }
    var file: FileDescriptor? { didSet { try? oldValue?.close() } }
    deinit { try? file?.close() }

    /// The head of the answer to the head of a request. `left` bytes follow it.
    func answer(to request: String?, from root: String) -> String {
        let lines = request?.split(separator: "\r\n") ?? []
        let words = lines.first?.split(separator: " ") ?? []
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.lowercased().split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[String(parts[0])] = String(parts[1].drop { $0 == " " })
        }
        func head(_ status: String, _ more: String = "", length: Int = 0) -> String {
            "HTTP/1.1 \(status)\r\n\(more)Content-Length: \(length)\r\n"
                + "Connection: \(keepsAlive ? "keep-alive" : "close")\r\n\r\n"
        }
        keepsAlive = false
        if request == nil { return head("431 Request Header Fields Too Large") }
        guard words.count == 3, words[2].hasPrefix("HTTP/1."), words[1].hasPrefix("/"),
            var path = words[1].prefix(while: { $0 != "?" }).removingPercentEncoding,
            !path.contains("\0"), !leadsUp(path)
        else { return head("400 Bad Request") }
        // A body is not read: it would be taken for a request.
        if fields["content-length"] ?? fields["transfer-encoding"] == nil {
            let wish = fields["connection"]
            keepsAlive = words[2] == "HTTP/1.0" ? wish == "keep-alive" : wish != "close"
        }
        guard words[0] == "GET" || words[0] == "HEAD" else {
            return head("405 Method Not Allowed", "Allow: GET, HEAD\r\n")
        }
        if path.hasSuffix("/") { path += "index.html" }
        file = try? .open(FilePath(root + path), .readOnly, options: [.nonBlocking, .closeOnExec])
        guard let stat = try? file?.stat(), stat.type == .regular else {
            file = nil
            return head("404 Not Found")
        }
        let (status, part) = part(words[0] == "GET" ? fields["range"] : nil, of: Int(stat.size))
        next = Int64(part.lowerBound)
        left = words[0] == "GET" ? part.count : 0
        let range = part.isEmpty ? "*" : "\(part.lowerBound)-\(part.upperBound - 1)"
        let type = types[String(path.split(separator: ".").last!)] ?? "application/octet-stream"
        var more = "Accept-Ranges: bytes\r\nContent-Type: \(type)\r\n"
        if status != "200 OK" { more += "Content-Range: bytes \(range)/\(stat.size)\r\n" }
        return head(status, more, length: part.count)
    }
}

/// Whether a part is "..", by bytes: to a String, a "/" with an accent behind it is not "/".
func leadsUp(_ path: String) -> Bool {
    path.utf8.split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual("..".utf8) }
}

/// Which bytes "bytes=0-99", "bytes=100-" or "bytes=-9" asks for. All, if it says anything else.
func part(_ asked: String?, of size: Int) -> (status: String, range: Range<Int>) {
    let all = ("200 OK", 0..<size)
    guard let ends = asked?.wholeMatch(of: /bytes=(\d*)-(\d*)/) else { return all }
    let range: Range<Int>
    switch (Int(ends.1), Int(ends.2)) {
    case (let low?, let high?) where low <= high: range = low..<max(low, min(high, size) + 1)
    case (let low?, nil) where ends.2.isEmpty: range = low..<max(low, size)
    case (nil, let count?) where ends.1.isEmpty: range = max(0, size - count)..<size
    default: return all
    }
    let part = range.clamped(to: 0..<size)
    return (part.isEmpty ? "416 Range Not Satisfiable" : "206 Partial Content", part)
}
