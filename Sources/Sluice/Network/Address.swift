internal import CSluice

/// Where to listen, or whom to connect to.
///
/// Any text can be given as an address. These are the forms:
///
/// - `"127.0.0.1:9999"`, `"[::1]:9999"`, `"[fe80::1%eth0]:9999"`: numeric. For port 0 the kernel
///   chooses a port; ask ``EventLoop/localAddress(of:)->Address``.
/// - `"unix:/run/echo.sock"`, `"unix:@abstract"`: a unix socket.
/// - `"example.com:443"`: a name, which is looked up. A connect does that without blocking the
///   loop. To listen at a name may block for seconds.
/// - `"*:9999"`: every address there is. It is only to listen at.
///
/// A wrong address is refused when it is used: with ``SluiceError/Code/badAddress``, or if only a
/// part of it is wrong, with ``SluiceError/Code/badPort``, ``SluiceError/Code/badPath`` or
/// ``SluiceError/Code/badScope``. ``problem`` says what is wrong.
public struct Address: Hashable, Sendable {
    /// The address as text.
    public let text: String

    /// The address with this text.
    public init(_ text: String) {
        self.text = text
    }

    /// An IPv4 host, such as "127.0.0.1".
    public static func ipv4(_ host: String, port: UInt16) -> Self { Self("\(host):\(port)") }

    /// An IPv6 host, such as "::1", with its scope if it needs one: "fe80::1%eth0".
    public static func ipv6(_ host: String, port: UInt16) -> Self { Self("[\(host)]:\(port)") }

    /// A unix socket in the file system.
    public static func unix(_ path: String) -> Self { Self("unix:\(path)") }

    /// A unix socket in Linux's abstract name space.
    public static func abstract(_ name: String) -> Self { Self("unix:@\(name)") }

    /// What is wrong with the address, for the person who wrote it. It is one sentence with the
    /// wrong value, such as "the port 99999 is out of range: 65535 is the highest". `nil` if there
    /// is nothing to say. Names are not looked up, and nobody is called.
    ///
    /// - Complexity: O(length of the text).
    public var problem: String? {
        if isCutShort { return Self.cutShort }
        var sentence = [CChar](repeating: 0, count: Int(SLUICE_PROBLEM_MAX))
        let length = unsafe sentence.withUnsafeMutableBufferPointer {
            unsafe sluice_address_problem(text, $0.baseAddress, $0.count)
        }
        guard length > 0 else { return nil }
        return String(
            decoding: sentence[..<Int(length)].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// C takes a NUL for the end of a text, and would take another address than this one.
    private var isCutShort: Bool { text.utf8.contains(0) }

    private static let cutShort = "the address contains a NUL; leave it out"

    /// Refuses an address that cannot be handed to C.
    func check(_ operation: String) throws(SluiceError) {
        if isCutShort {
            throw SluiceError(SLUICE_EADDRESS.rawValue, operation, .text(text))
        }
    }

    /// Whether it is the address of a unix socket.
    var isUnix: Bool { text.hasPrefix("unix:") }

    /// The port, or `nil` if the address has none.
    public var port: UInt16? {
        guard !isUnix, let colon = text.lastIndex(of: ":") else { return nil }
        return UInt16(text[text.index(after: colon)...])
    }
}

extension Address: ExpressibleByStringInterpolation, CustomStringConvertible {
    /// The address with this text.
    public init(stringLiteral text: String) {
        self.init(text)
    }

    /// The address as text.
    public var description: String { text }
}
