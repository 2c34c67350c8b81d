import ArgumentParser
import FoundationEssentials
import Sluice

/// What `--inspect` serves on the same loop: a page, and pictures of the loop for the page, as
/// server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
///
/// A page of another origin is refused, even if its name was made to lead here (DNS rebinding). So
/// the request must name the host by a number or as localhost.
struct Inspector {
    /// The most queued bytes of a page. A page that reads more slowly misses pictures.
    private static let mostQueued = 1 << 18
    private static let heads = Framing.delimited(by: "\r\n\r\n", limit: 8 << 10)

    private let listener: ListenerID
    let address: Address
    /// All connections, and for each whether pictures are sent to it.
    private var streams: [StreamID: Bool] = [:]
    private var written: UInt64 = 0
    private var unsent: UInt64 = 0

    /// Listens.
    ///
    /// - Parameter isOpen: whether the address may be another one than the loopback's.
    init(_ text: String, isOpen: Bool, in loop: borrowing EventLoop) throws {
        let asked = Address(text)
        do {
            listener = try loop.listen(
                on: asked,
                options: ListenerOptions(
                    connectionLimit: 16, streams: StreamOptions(lingerTime: .seconds(1))))
            address = try loop.localAddress(of: listener)
        } catch {
            throw StartFailure(error, asked)
        }
        guard isOpen || Self.isLoopback(address.description) else {
            loop.close(listener)
            throw ValidationError(
                "--inspect \(address): others could see it; use 127.0.0.1, or add --inspect-openly")
        }
    }

    private static func isLoopback(_ address: String) -> Bool {
        ["127.", "[::1]:", "[::ffff:127.", "unix:"].contains(where: address.hasPrefix)
    }

    /// How many of the bytes that the loop has sent were for pages.
    func bytesSent(in loop: borrowing EventLoop) -> UInt64 {
        let queued = streams.keys.reduce(0) { $0 + loop.pendingBytes(of: $1) }
        return written - unsent - UInt64(queued)
    }

    // MARK: Events

    /// Whether the event is of one of its own connections. Then it has been handled here.
    mutating func takes(_ event: borrowing Event, in loop: borrowing EventLoop) -> Bool {
        // This is all that is checked as long as nobody looks.
        if streams.isEmpty && event.kind != .accepted { return false }
        switch event {
        case .accepted(let stream, by: listener):
            streams[stream] = false
        case .overloaded(listener, _):
            break
        case .data(let stream, let bytes) where streams[stream] != nil:
            var requests = loop.frames(of: stream, in: bytes, by: Self.heads)
            if let head = requests.next() {
                answer(String(decoding: head, as: UTF8.self), stream, loop)
            }
        case .endOfStream(let stream) where streams[stream] != nil,
            .drained(let stream) where streams[stream] != nil:
            break
        case .closed(let stream, let ending) where streams[stream] != nil:
            streams[stream] = nil
            unsent += UInt64(ending.unsentBytes)
        default:
            return false
        }
        return true
    }

    /// Whether somebody looks.
    var isWatched: Bool { streams.values.contains(true) }

    /// Sends a picture to each page.
    mutating func send(_ picture: Picture, in loop: borrowing EventLoop) throws {
        let json = try JSONEncoder().encode(picture)
        let event = Array("data: ".utf8) + json + Array("\n\n".utf8)
        for (stream, isPage) in streams
        where isPage && loop.pendingBytes(of: stream) < Self.mostQueued {
            write(event, to: stream, loop)
            // Flush at once, since the next pull may be a second away.
            loop.flush(stream)
        }
    }

    private mutating func write(_ bytes: [UInt8], to stream: StreamID, _ loop: borrowing EventLoop)
    {
        if loop.write(bytes, to: stream) != .gone { written += UInt64(bytes.count) }
    }

    // MARK: Requests

    /// Answers one request. Each has a connection of its own.
    private mutating func answer(_ head: String, _ stream: StreamID, _ loop: borrowing EventLoop) {
        // A connection that gets pictures has no further requests.
        guard streams[stream] == false else { return }
        let lines = head.split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[parts[0].lowercased()] = parts[1].trimmingPrefix { $0 == " " }.lowercased()
        }
        if words.count != 3 || !words[2].hasPrefix("HTTP/1.") {
            end(stream, loop, "400 Bad Request", "this is no request of HTTP\n")
        } else if words[0] != "GET" {
            end(stream, loop, "405 Method Not Allowed", "only GET is answered\n", "Allow: GET\r\n")
        } else if let problem = Self.problem(with: fields) {
            end(stream, loop, "403 Forbidden", "\(problem)\n")
        } else if words[1] == "/events" {
            streams[stream] = true
            write(Array(Self.head("200 OK", "text/event-stream", nil).utf8), to: stream, loop)
        } else if words[1] == "/" {
            let page = PackageResources.inspector_html
            let head = Self.head(
                "200 OK", "text/html; charset=utf-8", page.count,
                """
                Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; \
                style-src 'unsafe-inline'; connect-src 'self'\r\n
                """)
            write(Array(head.utf8) + page, to: stream, loop)
            loop.close(stream)
        } else {
            end(stream, loop, "404 Not Found", "there is / and /events\n")
        }
    }

    /// Why a page of another origin may be behind a request.
    private static func problem(with fields: [String: String]) -> String? {
        guard let host = fields["host"] else { return "the request names no host" }
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } : host.prefix { $0 != ":" }
        let isNumber = name.hasPrefix("[") || name.allSatisfy { $0.isNumber || $0 == "." }
        guard (isNumber && !name.isEmpty) || name == "localhost" else {
            return "the host \(name) is refused; write its number, or localhost"
        }
        if let origin = fields["origin"], origin != "http://\(host)" {
            return "the origin \(origin) is refused; open the page itself"
        }
        if let site = fields["sec-fetch-site"], site != "same-origin" && site != "none" {
            return "a request of another site is refused; open the page itself"
        }
        return nil
    }

    private mutating func end(
        _ stream: StreamID, _ loop: borrowing EventLoop, _ status: String, _ text: String,
        _ more: String = ""
    ) {
        let head = Self.head(status, "text/plain; charset=utf-8", text.utf8.count, more)
        write(Array((head + text).utf8), to: stream, loop)
        loop.close(stream)
    }

    private static func head(
        _ status: String, _ type: String, _ length: Int?, _ more: String = ""
    ) -> String {
        "HTTP/1.1 \(status)\r\nContent-Type: \(type)\r\n"
            + (length.map { "Content-Length: \($0)\r\nConnection: close\r\n" } ?? "")
            + "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            + "Cross-Origin-Resource-Policy: same-origin\r\n\(more)\r\n"
    }
}
