import Synchronization
import SystemPackage

/// Standard output, a line at a time, at once also where it is a pipe. Any thread.
///
/// Where it cannot be written to, because its reader has gone or its disk is full, that is said on
/// standard error once.
struct Output: Sendable {
    /// Whether nothing is printed but errors.
    let isQuiet: Bool
    /// Whether what is printed is what the program was started for, so that it ends without.
    let isNeeded: Bool
    /// Before each line: which of several loops says it.
    var prefix = ""
    /// The same for all copies.
    private let failure = Failure()

    private final class Failure: Sendable {
        let isKnown = Atomic(false)
    }

    init(isQuiet: Bool = false, isNeeded: Bool = false) {
        self.isQuiet = isQuiet
        self.isNeeded = isNeeded
    }

    /// Whether a line is lost.
    var hasFailed: Bool { failure.isKnown.load(ordering: .relaxed) }

    /// Whether there is no reason to go on.
    var isOver: Bool { isNeeded && hasFailed }

    func line(_ text: String) {
        guard !isQuiet else { return }
        do {
            try FileDescriptor.standardOutput.writeAll("\(prefix)\(text)\n".utf8)
        } catch {
            fail(error as? Errno ?? .ioError)
        }
    }

    /// Notes that nothing can be written any more.
    func fail(_ error: Errno) {
        guard !failure.isKnown.exchange(true, ordering: .relaxed) else { return }
        warn(
            "cannot write to standard output: \(error); "
                + (isNeeded ? "that ends it" : "it goes on without"))
    }

    func warn(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll("sluice-echo: \(prefix)\(text)\n".utf8)
    }
}
