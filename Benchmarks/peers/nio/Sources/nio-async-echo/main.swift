// An echo server on SwiftNIO by structured concurrency: one event loop, and a task with a NIOAsyncChannel
// for each connection.

import Glibc
import NIOCore
import NIOPosix

typealias Channel = NIOAsyncChannel<ByteBuffer, ByteBuffer>

func echo(_ connection: Channel) async {
    try? await connection.executeThenClose { inbound, outbound in
        for try await bytes in inbound { try await outbound.write(bytes) }
    }
}

func serve(host: String, port: Int) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let listener = try await ServerBootstrap(group: group)
        .serverChannelOption(.backlog, value: 1024)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        .bind(host: host, port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try Channel(wrappingChannelSynchronously: channel)
            }
        }
    print("127.0.0.1:\(listener.channel.localAddress!.port!)")
    fflush(nil)
    try await withThrowingDiscardingTaskGroup { group in
        try await listener.executeThenClose { connections in
            for try await connection in connections { group.addTask { await echo(connection) } }
        }
    }
}

let words = CommandLine.arguments
guard words.count >= 2, let colon = words[1].lastIndex(of: ":"),
    let port = Int(words[1][words[1].index(after: colon)...])
else { fatalError("usage: nio-async-echo ADDRESS, such as 127.0.0.1:0") }

// Not on the main thread, because what counts instructions dies of the main thread's executor.
let host = String(words[1][..<colon])
Task.detached {
    do { try await serve(host: host, port: port) } catch { fatalError("\(error)") }
}
while true { pause() }
