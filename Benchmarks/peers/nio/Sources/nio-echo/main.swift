// An echo server on SwiftNIO: one event loop, one ChannelHandler a connection.

import Glibc
import NIOCore
import NIOPosix

/// Writes what it reads, and flushes at the end of each burst of reads.
final class Echo: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.write(data, promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

let words = CommandLine.arguments
guard words.count >= 2, let colon = words[1].lastIndex(of: ":"),
    let port = Int(words[1][words[1].index(after: colon)...])
else { fatalError("usage: nio-echo ADDRESS, such as 127.0.0.1:0") }

let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let listener = try ServerBootstrap(group: group)
    .serverChannelOption(.backlog, value: 1024)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(Echo())
        }
    }
    .bind(host: String(words[1][..<colon]), port: port)
    .wait()
print("127.0.0.1:\(listener.localAddress!.port!)")
fflush(nil)
try listener.closeFuture.wait()
