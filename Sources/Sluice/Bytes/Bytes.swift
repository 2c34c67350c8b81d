// What the standard library (6.3) lacks for Span<UInt8>, under the names that it has for arrays and
// strings. With it, a program that parses what it receives needs nothing unsafe.

private import Glibc

/// Copies of bytes, which outlive them.
extension Array where Element == UInt8 {
    /// A copy of the bytes.
    ///
    /// - Complexity: O(bytes).
    public init(_ bytes: Span<UInt8>) {
        self = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
    }

    /// Appends a copy of the bytes.
    ///
    /// - Complexity: O(bytes), if there is capacity.
    public mutating func append(contentsOf bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }

    /// Appends a copy of a queue's bytes.
    ///
    /// - Complexity: O(bytes), if there is capacity.
    public mutating func append(contentsOf queue: borrowing ByteQueue) {
        reserveCapacity(count + queue.count)
        queue.forEachPiece { append(contentsOf: $0) }
    }

    /// Appends the bytes of an integer.
    ///
    /// ```swift
    /// packet.append(UInt16(1234), .bigEndian)
    /// ```
    @inlinable
    public mutating func append<Number: FixedWidthInteger>(_ integer: Number, _ order: ByteOrder) {
        // By the integer's value and not by its memory: a type that a program defines may have any
        // layout.
        let width = Number.bitWidth / 8
        for place in 0..<width {
            let shift = 8 * (order == .bigEndian ? width - 1 - place : place)
            append(UInt8(truncatingIfNeeded: integer >> shift))
        }
    }
}

extension String {
    /// The text of these bytes. What is not UTF-8 is replaced by U+FFFD.
    ///
    /// - Complexity: O(bytes).
    public init(decoding bytes: Span<UInt8>, as encoding: UTF8.Type) {
        self = unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: encoding) }
    }

    /// The text of these bytes, or `nil` if they are not UTF-8.
    ///
    /// - Complexity: O(bytes).
    public init?(validating bytes: Span<UInt8>, as encoding: UTF8.Type = UTF8.self) {
        let text = unsafe bytes.withUnsafeBufferPointer {
            unsafe String(validating: $0, as: encoding)
        }
        guard let text else { return nil }
        self = text
    }
}

extension FixedWidthInteger {
    /// The number that these bytes spell in ASCII digits, such as "-12". `nil` if they spell no
    /// number, or one that does not fit.
    ///
    /// - Parameter radix: 2 to 36.
    /// - Complexity: O(bytes).
    public init?(ascii bytes: Span<UInt8>, radix: Int = 10) {
        require((2...36).contains(radix), "a radix of \(radix); it is to be 2 to 36")
        let isNegative = bytes.first == UInt8(ascii: "-")
        var number: Self = 0
        var hasDigits = false
        for index in (isNegative || bytes.first == UInt8(ascii: "+") ? 1 : 0)..<bytes.count {
            guard let digit = bytes[index].digit, digit < radix else { return nil }
            let (shifted, isTooLong) = number.multipliedReportingOverflow(by: Self(radix))
            let (sum, isTooLarge) =
                isNegative
                ? shifted.subtractingReportingOverflow(Self(digit))
                : shifted.addingReportingOverflow(Self(digit))
            if isTooLong || isTooLarge { return nil }
            number = sum
            hasDigits = true
        }
        guard hasDigits else { return nil }
        self = number
    }
}

extension UInt8 {
    /// The value of an ASCII digit or letter: 0 to 35.
    fileprivate var digit: Int? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(self) - 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(self) - 0x61 + 10
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(self) - 0x41 + 10
        default: nil
        }
    }

    /// The lower-case letter of an ASCII capital. Any other byte is itself.
    fileprivate var lowercased: UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self
    }
}

/// The order of an integer's bytes.
public enum ByteOrder: Hashable, Sendable {
    /// The most significant byte first: network byte order.
    case bigEndian
    /// The least significant byte first.
    case littleEndian
}

/// Searching in bytes, and comparing them.
extension Span where Element == UInt8 {
    /// The first byte, or `nil` if there is none.
    public var first: UInt8? { isEmpty ? nil : self[0] }

    /// The last byte, or `nil` if there is none.
    public var last: UInt8? { isEmpty ? nil : self[count - 1] }

    /// The bytes at a range of indices. The range must lie within the bytes.
    ///
    /// - Complexity: O(1), no copy.
    public subscript(range: some RangeExpression<Int>) -> Span<UInt8> {
        @_lifetime(copy self)
        get { extracting(range) }
    }

    /// The first index of a byte, from `start` on. `nil` if it is not there.
    ///
    /// - Complexity: O(bytes).
    @inline(__always)
    public func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
        require(start >= 0, "no byte has the index \(start)")
        return unsafe withUnsafeBufferPointer { bytes in
            guard start < bytes.count, let base = unsafe UnsafeRawPointer(bytes.baseAddress),
                let found = unsafe memchr(base + start, CInt(byte), bytes.count - start)
            else { return nil as Int? }
            return unsafe UnsafeRawPointer(found) - base
        }
    }

    /// The first index at which other bytes stand, from `start` on. `nil` if they are not there.
    ///
    /// - Complexity: O(bytes × others) at worst, and O(bytes) if the first of the others is rare.
    public func firstIndex(of others: Span<UInt8>, from start: Int = 0) -> Int? {
        require(start >= 0, "no byte has the index \(start)")
        guard let first = others.first else { return start <= count ? start : nil }
        var start = start
        while let found = firstIndex(of: first, from: start), found <= count - others.count {
            if extracting(found...).starts(with: others) { return found }
            start = found + 1
        }
        return nil
    }

    /// The first index at which a text stands, as UTF-8, from `start` on.
    public func firstIndex(of text: String, from start: Int = 0) -> Int? {
        firstIndex(of: text.utf8Span.span, from: start)
    }

    /// Whether the byte is among these.
    public func contains(_ byte: UInt8) -> Bool { firstIndex(of: byte) != nil }

    /// Whether the bytes equal others.
    ///
    /// - Complexity: O(bytes).
    public func elementsEqual(_ others: Span<UInt8>) -> Bool {
        count == others.count && starts(with: others)
    }

    /// Whether the bytes are those of a text in UTF-8.
    ///
    /// - Parameter ignoringCase: whether an ASCII letter is the same as its capital.
    public func elementsEqual(_ text: String, ignoringCase: Bool = false) -> Bool {
        let others = text.utf8Span.span
        guard ignoringCase else { return elementsEqual(others) }
        guard count == others.count else { return false }
        return indices.allSatisfy { self[$0].lowercased == others[$0].lowercased }
    }

    /// Whether the bytes begin with others.
    ///
    /// - Complexity: O(others).
    public func starts(with others: Span<UInt8>) -> Bool {
        guard others.count <= count else { return false }
        return unsafe withUnsafeBufferPointer { bytes in
            unsafe others.withUnsafeBufferPointer { others in
                guard let ours = bytes.baseAddress, let theirs = others.baseAddress else {
                    return true
                }
                return unsafe memcmp(ours, theirs, others.count) == 0
            }
        }
    }

    /// Whether the bytes begin with a text, in UTF-8.
    public func starts(with text: String) -> Bool { starts(with: text.utf8Span.span) }

    /// The integer whose bytes stand at an index. `nil` if there are not enough bytes.
    ///
    /// ```swift
    /// let port = bytes.integer(at: 2, as: UInt16.self, .bigEndian)
    /// ```
    @inlinable
    public func integer<Number: FixedWidthInteger>(
        at index: Int = 0, as type: Number.Type, _ order: ByteOrder
    ) -> Number? {
        let width = Number.bitWidth / 8
        guard index >= 0, index <= count - width else { return nil }
        var number: Number = 0
        for place in 0..<width {
            let byte = self[index + (order == .bigEndian ? place : width - 1 - place)]
            number = number << 8 | Number(truncatingIfNeeded: byte)
        }
        return number
    }

    /// The bytes without the blanks (space, tab, line ends) around them.
    ///
    /// - Complexity: O(blanks), no copy.
    public var trimmed: Span<UInt8> {
        @_lifetime(copy self)
        get {
            var range = 0..<count
            while let first = range.first, self[first].isBlank {
                range = (first + 1)..<range.upperBound
            }
            while let last = range.last, self[last].isBlank { range = range.lowerBound..<last }
            return extracting(range)
        }
    }

    /// The parts between separators, one after the other. Empty parts are included.
    ///
    /// ```swift
    /// var words = line.split(separator: UInt8(ascii: " "))
    /// while let word = words.next() { … }
    /// ```
    ///
    /// - Parameter most: how many times to split at most. What is left is the last part.
    @_lifetime(copy self)
    public func split(separator: UInt8, most: Int = .max) -> SplitBytes {
        SplitBytes(self, separator, most)
    }
}

extension UInt8 {
    fileprivate var isBlank: Bool { self == 0x20 || (0x09...0x0D).contains(self) }
}

/// The parts of bytes between separators. See `split(separator:most:)` of a `Span`.
public struct SplitBytes: ~Escapable {
    private var rest: Span<UInt8>
    private var isOver = false
    private var left: Int
    private let separator: UInt8

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>, _ separator: UInt8, _ most: Int) {
        rest = bytes
        left = most
        self.separator = separator
    }

    /// The next part, or `nil` after the last.
    ///
    /// - Complexity: O(part), no copy.
    @_lifetime(copy self)
    public mutating func next() -> Span<UInt8>? {
        if isOver { return nil }
        guard left > 0, let end = rest.firstIndex(of: separator) else {
            isOver = true
            return rest
        }
        left -= 1
        let part = rest.extracting(0..<end)
        rest = rest.extracting((end + 1)...)
        return part
    }
}
