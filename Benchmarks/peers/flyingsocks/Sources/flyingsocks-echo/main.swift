// An echo server on FlyingSocks, the sockets of FlyingFox: a pool on epoll, and a task for each connection.

import FlyingSocks
import Foundation

/// Reads are of 4 KiB at most, whatever is asked for: the library has it so.
func echo(_ connection: AsyncSocket) async {
    do {
        try connection.socket.setValue(
            true, for: BoolSocketOption(level: CInt(IPPROTO_TCP), name: TCP_NODELAY))
        while true { try await connection.write(Data(connection.read(atMost: 65536))) }
    } catch {
        try? connection.close()
    }
}

func serve(host: String, port: UInt16) async throws {
    let pool = SocketPool.ePoll(maxEvents: 256)
    try await pool.prepare()
    let socket = try Socket(domain: AF_INET)
    try socket.setValue(true, for: .localAddressReuse)
    try socket.bind(to: .inet(ip4: host, port: port))
    try socket.listen(maxPendingConnection: 1024)
    if case .ip4(let host, let port) = try socket.sockname() { print("\(host):\(port)") }
    fflush(nil)
    let listener = try AsyncSocket(socket: socket, pool: pool)
    try await withThrowingDiscardingTaskGroup { group in
        group.addTask { try await pool.run() }
        for try await connection in listener.sockets {
            group.addTask { await echo(connection) }
        }
    }
}

let words = CommandLine.arguments
guard words.count >= 2, let colon = words[1].lastIndex(of: ":"),
    let port = UInt16(words[1][words[1].index(after: colon)...])
else { fatalError("usage: flyingsocks-echo ADDRESS, such as 127.0.0.1:0") }

// All that the pool waits for is one limit of the process's.
var limit = rlimit()
getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
limit.rlim_cur = limit.rlim_max
setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)

// Not on the main thread, because what counts instructions dies of the main thread's executor.
let host = String(words[1][..<colon])
Task.detached {
    do { try await serve(host: host, port: port) } catch { fatalError("\(error)") }
}
while true { pause() }
