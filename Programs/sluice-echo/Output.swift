import SystemPackage

/// Standard output, a line at a time, at once also where it is a pipe. Any thread.
struct Output: Sendable {
    var quiet = false
    /// Before each line: which of several loops says it.
    var prefix = ""

    func line(_ text: String) {
        guard !quiet else { return }
        // A reader of our output who has gone is no reason to stop serving.
        _ = try? FileDescriptor.standardOutput.writeAll("\(prefix)\(text)\n".utf8)
    }

    func warn(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll("sluice-echo: \(prefix)\(text)\n".utf8)
    }
}
