import Glibc
import Sluice
import Synchronization
import SystemPackage
import Testing

/// One after the other: each of them has threads of its own, and is bounded in time.
@Suite("Structured concurrency", .serialized)
enum AsyncTests {}

/// A number that many threads count.
final class Count: Sendable {
    private let value = Atomic<Int>(0)

    @discardableResult
    func add(_ more: Int = 1) -> Int { value.add(more, ordering: .acquiringAndReleasing).newValue }
    var now: Int { value.load(ordering: .acquiring) }
}

/// What many threads append to.
final class Log<Element: Sendable>: Sendable {
    private let elements = Mutex<[Element]>([])

    func append(_ element: Element) { elements.withLock { $0.append(element) } }
    var all: [Element] { elements.withLock { $0 } }
}

/// Opened once, by anybody: whoever waits goes on, and no cancellation ends that wait.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for one in waiting { one.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// Says whether an object is still there.
final class Ghost<Object: AnyObject & Sendable>: Sendable {
    private weak let object: Object?

    init(_ object: Object) { self.object = object }
    var isGone: Bool { object == nil }
}

/// Waits for what takes a moment after all else is over, such as the end of a thread.
func eventually(_ isSo: () -> Bool) async -> Bool {
    let clock = ContinuousClock()
    let end = clock.now.advanced(by: patience)
    while !isSo() {
        if clock.now > end { return false }
        try? await clock.sleep(for: .milliseconds(1))
    }
    return true
}

/// Serves while `body` runs, which has a loop for its clients, and the server's address. Both loops
/// are of one backend; nothing of theirs is left at the end.
func withServer<Result: Sendable>(
    _ backend: Backend? = nil, tasks: Loop.Tasks = .onLoop, loops: Server.LoopCount = .one,
    options configure: (inout Server.Options) -> Void = { _ in },
    _ handler: @escaping Server.Handler,
    during body: @Sendable (Loop, String) async throws -> Result
) async throws -> Result {
    var options = Server.Options()
    options.backend = backend
    options.tasks = tasks
    configure(&options)
    let (addresses, ready) = AsyncStream<String>.makeStream()
    let served = options
    let ghosts = Log<Ghost<Connection>>()
    let loopGhosts = Log<Ghost<Loop>>()
    let server = Task {
        defer { ready.finish() }
        try await Server.run(
            on: "127.0.0.1:0", loops: loops, options: served,
            ready: { ready.yield($0.description) }
        ) { connection in
            ghosts.append(Ghost(connection))
            loopGhosts.append(Ghost(connection.loop))
            try await handler(connection)
        }
    }
    var first = addresses.makeAsyncIterator()
    guard let address = await first.next() else {
        try await server.value
        throw TimedOut()
    }
    let loop = try Loop.start(backend, tasks: tasks)
    do {
        let result = try await body(loop, address)
        server.cancel()
        try await server.value
        await loop.stop()
        let allAreGone = await eventually { ghosts.all.allSatisfy(\.isGone) }
        #expect(allAreGone, "connections are left")
        let loopsAreGone = await eventually { loopGhosts.all.allSatisfy(\.isGone) }
        #expect(loopsAreGone, "loops of the server are left")
        return result
    } catch {
        server.cancel()
        try await server.value
        await loop.stop()
        throw error
    }
}

/// Sends all back.
let echo: Server.Handler = { connection in
    for try await bytes in connection.inbound { try await connection.write(bytes) }
}

/// Expects that `body` throws such an error.
func expectThrow<Thrown: Error, Result>(
    _: Thrown.Type, _ what: String = "", _ place: SourceLocation = #_sourceLocation,
    isolation: isolated (any Actor)? = #isolation,
    _ body: nonisolated(nonsending) () async throws -> Result
) async {
    do {
        _ = try await body()
        Issue.record("nothing was thrown \(what)", sourceLocation: place)
    } catch is Thrown {
    } catch {
        Issue.record("\(error) was thrown \(what)", sourceLocation: place)
    }
}

/// All that comes until the end.
func readAll(_ connection: Connection) async throws -> [UInt8] {
    var all: [UInt8] = []
    while let bytes = try await connection.next() { all.append(contentsOf: bytes.span) }
    return all
}

/// Bytes of which no two places look alike.
func pattern(_ count: Int) -> [UInt8] {
    var all: [UInt8] = []
    all.reserveCapacity(count)
    while all.count + patternBlock.count <= count { all += patternBlock }
    return all + patternBlock[..<(count - all.count)]
}

/// After which it begins anew. Made once, since a debug build takes its time for each byte.
private let patternBlock = (0..<65_536).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 8)) }

/// Expects that they are equal, by one call for all bytes, which counts in a debug build, and without
/// printing all of them.
func expectSame(
    _ some: [UInt8], _ others: [UInt8], _ place: SourceLocation = #_sourceLocation
) {
    if some.count == others.count && (some.isEmpty || matches(some.span, others, from: 0)) {
        return
    }
    let first = zip(some, others).enumerated().first { $1.0 != $1.1 }?.offset
    Issue.record(
        "\(some.count) bytes, and \(others.count); the first other one is \(first ?? -1)",
        sourceLocation: place)
}

/// Every backend, with each way to run tasks.
let everyWay: [(Backend, Loop.Tasks)] = Backend.all.flatMap { backend in
    [(backend, Loop.Tasks.onLoop), (backend, .isolatedOnly)]
}

/// How much memory the process has.
func residentBytes() -> Int {
    guard let file = unsafe try? FileDescriptor.open("/proc/self/statm", .readOnly) else {
        return 0
    }
    defer { try? file.close() }
    var text = [UInt8](repeating: 0, count: 128)
    let count = unsafe text.withUnsafeMutableBytes { unsafe (try? file.read(into: $0)) ?? 0 }
    let words = String(decoding: text[..<count], as: UTF8.self).split(separator: " ")
    return words.count > 1 ? (Int(words[1]) ?? 0) * Int(getpagesize()) : 0
}

/// A number from the environment, for runs that take long.
func setting(_ name: String, default number: Int) -> Int {
    unsafe getenv(name).flatMap { unsafe Int(String(cString: $0)) } ?? number
}
