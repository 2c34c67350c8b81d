import SystemPackage

/// A line at the terminal that shows how far it is, again and again in the same place. It goes to
/// standard error, so that standard output has only the report.
struct ProgressBar {
    private static let width = 30

    func draw(_ done: Duration, of all: Duration, messages: Int) {
        let share = min(1, max(0, done / all))
        let full = Int(share * Double(Self.width))
        let bar =
            String(repeating: "#", count: full) + String(repeating: "-", count: Self.width - full)
        put("\r[\(bar)] \((done / .seconds(1)).fixed(1)) s  \(messages.grouped) messages\u{1B}[K")
    }

    func erase() { put("\r\u{1B}[K") }

    private func put(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
    }
}
