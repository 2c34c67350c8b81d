internal import CSluice
public import SystemPackage

/// What ``select(reading:writing:excepting:timeout:)`` found. Each list keeps the order in which it
/// was given.
public struct Selection: Hashable, Sendable {
    /// A read would not block.
    public var readable: [FileDescriptor]
    /// A write would not block.
    public var writable: [FileDescriptor]
    /// Out-of-band data is there.
    public var exceptional: [FileDescriptor]

    /// A selection of these descriptors. A list that is not given is empty.
    public init(
        readable: [FileDescriptor] = [], writable: [FileDescriptor] = [],
        exceptional: [FileDescriptor] = []
    ) {
        self.readable = readable
        self.writable = writable
        self.exceptional = exceptional
    }
}

/// Waits until one of the descriptors is ready or the timeout is over: select(2) itself, with no
/// limit on descriptor numbers.
///
/// With a `timeout` of `nil` it waits for ever. With zero or less it looks and does not wait. A
/// signal neither ends the wait nor prolongs it.
///
/// ```swift
/// let ready = try select(reading: inputs, writing: outputs, timeout: .milliseconds(500))
/// for descriptor in ready.readable { … }
/// ```
///
/// - Complexity: O(*n* + the highest number), for *n* entries in the lists.
/// - Throws: ``SluiceError/Code/badDescriptor``, which names the first descriptor that is not open.
public func select(
    reading: [FileDescriptor] = [],
    writing: [FileDescriptor] = [],
    excepting: [FileDescriptor] = [],
    timeout: Duration? = nil
) throws(SluiceError) -> Selection {
    let lists = [reading, writing, excepting]
    // One array for what all the lists ask, and one with room for what is ready.
    let count = lists.reduce(0) { $0 + $1.count }
    let asked = lists.flatMap { list in list.map(\.rawValue) }
    var ready = [CInt](repeating: 0, count: count)
    var readyCounts = [0, 0, 0]
    let result = unsafe asked.withUnsafeBufferPointer { asked in
        unsafe ready.withUnsafeMutableBufferPointer { ready in
            var from = 0
            func list(_ index: Int) -> sluice_fd_list {
                defer { from += lists[index].count }
                guard let askedBase = asked.baseAddress, let readyBase = ready.baseAddress else {
                    return unsafe sluice_fd_list()
                }
                return unsafe sluice_fd_list(
                    fds: askedBase + from, count: lists[index].count, ready: readyBase + from,
                    ready_count: 0)
            }
            var (read, write, except) = unsafe (list(0), list(1), list(2))
            let result = unsafe sluice_select(
                &read, &write, &except, timeout.timeoutInNanoseconds)
            readyCounts = unsafe [read.ready_count, write.ready_count, except.ready_count]
            return result
        }
    }
    guard result >= 0 else { throw selectError(result, lists) }
    var from = 0
    func answer(_ index: Int) -> [FileDescriptor] {
        defer { from += lists[index].count }
        return ready[from..<from + readyCounts[index]].map { FileDescriptor(rawValue: $0) }
    }
    return Selection(readable: answer(0), writable: answer(1), exceptional: answer(2))
}

/// select(2) does not say which descriptor it refuses, so each is tried by itself.
private func selectError(_ code: CInt, _ lists: [[FileDescriptor]]) -> SluiceError {
    guard code == SLUICE_EBADF.rawValue else { return SluiceError(code, "select") }
    let culprit = lists.joined().first { descriptor in
        var number = descriptor.rawValue
        var room: CInt = 0
        return unsafe withUnsafeMutablePointer(to: &number) { number in
            unsafe withUnsafeMutablePointer(to: &room) { room in
                var list = unsafe sluice_fd_list(fds: number, count: 1, ready: room, ready_count: 0)
                return unsafe sluice_select(&list, nil, nil, 0) == code
            }
        }
    }
    return culprit.map { SluiceError(code, "select", .descriptor($0)) }
        ?? SluiceError(code, "select")
}
