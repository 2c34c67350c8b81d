import Glibc
import Sluice
import SystemPackage

/// The terminal at standard output and input. It is taken over for a picture that is drawn again
/// and again, and for keys that need no Return. Ctrl-C stays an interrupt.
struct Terminal {
    private let output = FileDescriptor.standardOutput
    private let input = FileDescriptor.standardInput
    private var before = termios()
    /// Whether keys can be read: standard input is a terminal, too.
    let hasKeys: Bool

    /// `nil` if standard output is not a terminal.
    init?() {
        guard isatty(output.rawValue) == 1 else { return nil }
        hasKeys = unsafe tcgetattr(input.rawValue, &before) == 0
    }

    /// Columns and rows.
    var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard unsafe ioctl(output.rawValue, UInt(TIOCGWINSZ), &size) == 0,
            size.ws_col > 0, size.ws_row > 0
        else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Shows another screen than the shell's, without a cursor.
    func takeOver() throws {
        if hasKeys {
            var settings = before
            settings.c_lflag &= ~tcflag_t(ICANON | ECHO)
            settings.c_iflag &= ~tcflag_t(IXON)
            // A program that is suspended would leave the terminal as it is now.
            unsafe withUnsafeMutableBytes(of: &settings.c_cc) { keys in
                for key in [VSUSP, VQUIT] { unsafe keys[Int(key)] = 0 }
            }
            unsafe tcsetattr(input.rawValue, TCSADRAIN, &settings)
        }
        try output.writeAll("\u{1B}[?1049h\u{1B}[?25l".utf8)
    }

    /// Gives the terminal back as it was.
    func giveBack() {
        _ = try? output.writeAll("\u{1B}[?25h\u{1B}[?1049l".utf8)
        if hasKeys {
            var before = before
            unsafe tcsetattr(input.rawValue, TCSADRAIN, &before)
        }
    }

    /// Draws over what was there, so that the screen is never empty. If the terminal has not taken
    /// the last picture yet, this one is left out: nobody must wait for it.
    func draw(_ lines: [Substring]) throws {
        if try select(writing: [output], timeout: .zero).writable.isEmpty { return }
        let text = lines.joined(separator: "\u{1B}[K\r\n")
        try output.writeAll("\u{1B}[H\(text)\u{1B}[K\u{1B}[J".utf8)
    }

    /// The keys that were pressed. There are none if there will be no more.
    func readKeys() throws -> [UInt8] {
        var keys = [UInt8](repeating: 0, count: 64)
        let count = try unsafe keys.withUnsafeMutableBytes { try unsafe input.read(into: $0) }
        return Array(keys[..<count])
    }
}
