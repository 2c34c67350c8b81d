// A web server for the files of a folder: GET and HEAD, keep-alive, pipelining, and one range.
// The pulled twin is in http.
//
// It shows the types of swift-http-types, and files that the kernel sends while a task waits: a
// large file or a slow client takes no memory. No path leads out of the folder, except through a
// symlink in it.
//
//     swift run http-async . localhost:8080
//     curl -i -r 0-99 http://localhost:8080/Package.swift

import Foundation
import HTTPTypes
import Sluice
import SystemPackage

let types = ["html": "text/html", "txt": "text/plain", "css": "text/css", "png": "image/png"]

/// A request with a longer head is refused.
let longestHead = 16 << 10

/// The answer if there is no file to send.
struct Refusal: Error {
    let status: HTTPResponse.Status
    init(_ status: HTTPResponse.Status) { self.status = status }
}

/// The next request, and whether another may follow it; `nil` at the end.
func nextRequest(
    _ client: Connection
) async throws -> (request: HTTPRequest, path: String, keepsAlive: Bool)? {
    var lines: [String] = []
    var left = longestHead
    do {
        while let line = try await client.readLine(limit: left), lines.isEmpty || !line.isEmpty {
            lines.append(line)
            left = max(0, left - line.utf8.count)
            if line.isEmpty { break }
        }
    } catch is TooLong {
        throw Refusal(.requestHeaderFieldsTooLarge)
    } catch is UnexpectedEnd {
        return nil
    }
    guard let words = lines.first?.split(separator: " ") else { return nil }
    guard words.count == 3, words[2].hasPrefix("HTTP/1."), words[1].hasPrefix("/"),
        let method = HTTPRequest.Method(String(words[0])),
        let path = words[1].prefix(while: { $0 != "?" }).removingPercentEncoding,
        !path.contains("\0"), !leadsUp(path)
    else { throw Refusal(.badRequest) }
    var fields = HTTPFields()
    for line in lines.dropFirst() {
        let parts = line.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let name = HTTPField.Name(String(parts[0])) else { continue }
        fields.append(HTTPField(name: name, value: String(parts[1])))
    }
    let wish = fields[.connection]?.lowercased()
    var keepsAlive = words[2] == "HTTP/1.0" ? wish == "keep-alive" : wish != "close"
    // A body is not read: it would be taken for a request.
    if fields[.contentLength] ?? fields[.transferEncoding] != nil { keepsAlive = false }
    let request = HTTPRequest(
        method: method, scheme: nil, authority: nil, path: String(words[1]), headerFields: fields)
    return (request, path.hasSuffix("/") ? path + "index.html" : path, keepsAlive)
}

/// Whether a part of the path is "..", by bytes, as the kernel sees it. To a String, a "/" and an
/// accent behind it are one character, which is not "/".
func leadsUp(_ path: String) -> Bool {
    path.utf8.split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual("..".utf8) }
}

/// Answers one request after the other.
func serve(_ client: Connection, from root: String) async throws {
    var keepsAlive = true
    while keepsAlive {
        keepsAlive = false
        do {
            guard let asked = try await nextRequest(client) else { return }
            keepsAlive = asked.keepsAlive
            let isGet = asked.request.method == .get
            guard isGet || asked.request.method == .head else {
                throw Refusal(.methodNotAllowed)
            }
            let file = try? FileDescriptor.open(
                FilePath(root + asked.path), .readOnly, options: [.nonBlocking, .closeOnExec])
            defer { try? file?.close() }
            guard let file, let stat = try? file.stat(), stat.type == .regular else {
                throw Refusal(.notFound)
            }
            let range = isGet ? asked.request.headerFields[.range] : nil
            let (status, part) = part(range, of: Int(stat.size))
            let kind = types[String(asked.path.split(separator: ".").last!)]
            var answer = HTTPResponse(
                status: status,
                headerFields: [
                    .acceptRanges: "bytes", .contentType: kind ?? "application/octet-stream",
                ])
            if status != .ok {
                let range = part.isEmpty ? "*" : "\(part.lowerBound)-\(part.upperBound - 1)"
                answer.headerFields[.contentRange] = "bytes \(range)/\(stat.size)"
            }
            try await client.write(head(of: answer, keepsAlive, length: part.count))
            guard isGet else { continue }
            let sent = try await client.send(
                file: file, from: Int64(part.lowerBound), count: part.count)
            // The file is shorter than the answer said.
            if sent < part.count { return client.abort() }
        } catch let refusal as Refusal {
            var answer = HTTPResponse(status: refusal.status)
            if refusal.status == .methodNotAllowed { answer.headerFields[.allow] = "GET, HEAD" }
            try await client.write(head(of: answer, keepsAlive, length: 0))
        }
    }
}

func head(of answer: HTTPResponse, _ keepsAlive: Bool, length: Int) -> String {
    var answer = answer
    answer.headerFields[.contentLength] = "\(length)"
    answer.headerFields[.connection] = keepsAlive ? "keep-alive" : "close"
    let lines = answer.headerFields.map { "\($0.name): \($0.value)\r\n" }.joined()
    return "HTTP/1.1 \(answer.status)\r\n\(lines)\r\n"
}

/// Which bytes "bytes=0-99", "bytes=100-" or "bytes=-9" asks for. All, if it says anything else.
func part(_ asked: String?, of size: Int) -> (status: HTTPResponse.Status, range: Range<Int>) {
    guard let ends = asked?.wholeMatch(of: /bytes=(\d*)-(\d*)/) else { return (.ok, 0..<size) }
    let range: Range<Int>
    switch (Int(ends.1), Int(ends.2)) {
    case (let low?, let high?) where low <= high: range = low..<max(low, min(high, size) + 1)
    case (let low?, nil) where ends.2.isEmpty: range = low..<max(low, size)
    case (nil, let count?) where ends.1.isEmpty: range = max(0, size - count)..<size
    default: return (.ok, 0..<size)
    }
    let part = range.clamped(to: 0..<size)
    return (part.isEmpty ? .rangeNotSatisfiable : .partialContent, part)
}

let arguments = CommandLine.arguments.dropFirst() + [".", "localhost:8080"]
let root = arguments[1]
var options = Server.Options()
options.listener.streams.idleTimeout = .seconds(60)

try await Server.run(
    on: arguments[2], options: options, ready: { print("listening on \($0)") }
) { client in try await serve(client, from: root) }
