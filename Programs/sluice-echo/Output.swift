import Synchronization
import SystemPackage

/// Standard output, a line at a time, at once even if it is a pipe. Any thread.
///
/// If it cannot be written to, because its reader has gone or its disk is full, standard error says
/// so once.
struct Output: Sendable {
    /// Whether only errors are printed.
    let isQuiet: Bool
    /// Whether the program was started for what is printed. Then it ends if it cannot print.
    let isNeeded: Bool
    /// What stands before each line. It says which of several loops the line is from.
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
