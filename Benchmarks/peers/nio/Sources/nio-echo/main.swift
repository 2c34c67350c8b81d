// An echo server on SwiftNIO: one event loop, one ChannelHandler a connection. With "answer" it answers each
// 64 bytes with 1 KiB of its own memory.

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

/// Answers as many as one receive may ask for, which are sent without a copy.
final class Responder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    static let request = 64
    static let answer = 1024
    static let answers = ByteBuffer(bytes: (0..<1024 * answer).map { UInt8($0 % answer % 251) })
    var begun = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        begun += unwrapInboundIn(data).readableBytes
        let length = begun / Self.request * Self.answer
        begun %= Self.request
        for start in stride(from: 0, to: length, by: Self.answers.readableBytes) {
            let most = min(length - start, Self.answers.readableBytes)
            context.write(
                wrapOutboundOut(Self.answers.getSlice(at: 0, length: most)!), promise: nil)
        }
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
else { fatalError("usage: nio-echo ADDRESS [answer]; an ADDRESS is as 127.0.0.1:0") }
let isAnswering = words.count > 2 && words[2] == "answer"

let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let listener = try ServerBootstrap(group: group)
    .serverChannelOption(.backlog, value: 1024)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if isAnswering {
                try pipeline.addHandler(Responder())
            } else {
                try pipeline.addHandler(Echo())
            }
        }
    }
    .bind(host: String(words[1][..<colon]), port: port)
    .wait()
print("127.0.0.1:\(listener.localAddress!.port!)")
fflush(nil)
try listener.closeFuture.wait()
