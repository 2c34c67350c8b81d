/// A count, and what is counted: "1 byte", "2 bytes".
func counted(_ count: some BinaryInteger, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
}

extension BinaryInteger {
    /// With its thousands set apart: "1,234,567".
    var grouped: String {
        let digits = String(self)
        return digits.enumerated().reduce("") { text, digit in
            let left = digits.count - digit.offset
            return text + (digit.offset > 0 && left % 3 == 0 ? "," : "") + String(digit.element)
        }
    }
}

extension UInt64 {
    /// Nanoseconds as microseconds, with a fraction only if that says something.
    var asMicroseconds: String {
        self < 100_000 ? (Double(self) / 1000).fixed(1) : (self / 1000).grouped
    }
}

extension Double {
    /// With this many digits after the point.
    func fixed(_ digits: Int) -> String {
        let scale = (0..<digits).reduce(1) { scale, _ in scale * 10 }
        let scaled = Int((self * Double(scale)).rounded())
        let fraction = String(scaled % scale)
        return "\(scaled / scale)."
            + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}

extension String {
    /// With spaces before it, to that width.
    func padded(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - count)) + self
    }
}
