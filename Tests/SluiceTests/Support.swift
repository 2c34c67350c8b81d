import Glibc
import Sluice
import Synchronization
import SystemPackage
import Testing

/// A text's bytes, for sending.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// How long is waited for what is to come. A machine that is busy with others takes long; only what
/// never comes takes as long as this.
let patience = Duration.seconds(60)

/// A host of this machine at which nobody else listens, in this process or another one of these tests.
/// So a connect to where a listener of its own was is refused: no other has got the port since.
func ownHost() -> String {
    let number = hosts.add(1, ordering: .relaxed).newValue
    let process = getpid() & 0xffff
    return "127.\(1 + number % 250).\(process >> 8).\(process & 0xff)"
}

private let hosts = Atomic(0)

/// Takes the limit of descriptors away, as far as that goes: the usual one of 1,024 is a soft one. It is
/// the whole process's, so that this is for a process of its own.
func allowAllDescriptors() {
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    unsafe getrlimit(kind, &limit)
    limit.rlim_cur = limit.rlim_max
    unsafe setrlimit(kind, &limit)
}

extension FileDescriptor {
    /// Connects, and waits until that is done: that may take its time also on one machine.
    static func connected(to address: String) throws -> FileDescriptor {
        let descriptor = try connect(to: address)
        _ = try select(writing: [descriptor])
        try descriptor.finishConnecting()
        return descriptor
    }
}

/// Two connected sockets that close themselves.
final class Pair {
    let near: FileDescriptor
    let far: FileDescriptor

    /// Over loopback TCP: out-of-band data and resets are TCP's.
    init() throws {
        let listener = try FileDescriptor.listen(on: "127.0.0.1:0")
        defer { try? listener.close() }
        near = try FileDescriptor.connected(to: try listener.localAddress())
        _ = try select(reading: [listener])
        far = try #require(try listener.accept())
    }

    deinit {
        try? near.close()
        try? far.close()
    }
}

/// The next event, where there must be one.
func nextEvent(of poller: inout Poller) throws -> Poller.Event {
    let event = poller.next()
    return try #require(event)
}

/// Expects that all events of the last wait have been pulled.
func expectNoEvent(
    of poller: inout Poller, sourceLocation: SourceLocation = #_sourceLocation
) {
    let event = poller.next()
    #expect(event == nil, sourceLocation: sourceLocation)
}

/// The code of the error that `body` throws, or `nil` where it throws none.
func code(of body: () throws(SluiceError) -> Void) -> SluiceError.Code? {
    do {
        try body()
        return nil
    } catch {
        return error.code
    }
}

/// fork(2), which Swift does not give.
func fork() -> CInt {
    let function = unsafe dlsym(nil, "fork")
    return unsafe unsafeBitCast(function, to: (@convention(c) () -> CInt).self)()
}

/// How a child ended: 0 where all was well.
func status(of child: CInt) -> CInt {
    var status: CInt = -1
    _ = unsafe waitpid(child, &status, 0)
    return status
}
