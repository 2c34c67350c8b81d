/// Where to listen, or whom to connect to. Nothing is resolved: hosts are numeric.
///
/// A text is an address as it is: `"127.0.0.1:9999"`, `"[::1]:9999"`, `"[fe80::1%eth0]:9999"`,
/// `"unix:/run/echo.sock"`, `"unix:@abstract"`. Whether it is a good one shows in its use, with
/// ``SluiceError/Code/badAddress``. With port 0 the kernel chooses one; ask
/// ``EventLoop/localAddress(of:)``.
public struct Address: Hashable, Sendable {
    /// The address as text.
    public let text: String

    /// The address that a text says.
    public init(_ text: String) {
        self.text = text
    }

    /// An IPv4 host, such as "127.0.0.1".
    public static func ipv4(_ host: String, port: UInt16) -> Self { Self("\(host):\(port)") }

    /// An IPv6 host, such as "::1", with its scope where it needs one: "fe80::1%eth0".
    public static func ipv6(_ host: String, port: UInt16) -> Self { Self("[\(host)]:\(port)") }

    /// A unix socket in the file system.
    public static func unix(_ path: String) -> Self { Self("unix:\(path)") }

    /// A unix socket in Linux's abstract name space.
    public static func abstract(_ name: String) -> Self { Self("unix:@\(name)") }

    /// The port, where the address has one.
    public var port: UInt16? {
        guard !text.hasPrefix("unix:"), let colon = text.lastIndex(of: ":") else { return nil }
        return UInt16(text[text.index(after: colon)...])
    }
}

extension Address: ExpressibleByStringInterpolation, CustomStringConvertible {
    /// The address that a text says.
    public init(stringLiteral text: String) {
        self.init(text)
    }

    /// The address as text.
    public var description: String { text }
}
