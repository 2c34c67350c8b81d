import Sluice
import Testing

@Suite("Bytes")
struct BytesTests {
    @Test("an array and a text are made of bytes, and outlive them")
    func copies() {
        let all = bytes("héllo")
        #expect(Array(all.span) == all)
        #expect(Array(Span<UInt8>()) == [])
        var copied = bytes("> ")
        copied.append(contentsOf: all.span)
        copied.append(contentsOf: Span<UInt8>())
        #expect(copied == bytes("> héllo"))
        #expect(String(decoding: all.span, as: UTF8.self) == "héllo")
        #expect(String(validating: all.span) == "héllo")
        #expect(String(decoding: Span<UInt8>(), as: UTF8.self) == "")
        #expect(String(validating: Span<UInt8>()) == "")
    }

    @Test("what is no UTF-8 is replaced, or refused")
    func badText() {
        let bad: [UInt8] = [0x61, 0xff, 0x62]
        #expect(String(decoding: bad.span, as: UTF8.self) == "a\u{fffd}b")
        #expect(String(validating: bad.span) == nil)
        #expect(String(validating: bytes("é").span.extracting(0..<1)) == nil)
    }

    private func number<Number: FixedWidthInteger>(
        _ text: String, _ type: Number.Type, radix: Int = 10
    ) -> Number? {
        Number(ascii: bytes(text).span, radix: radix)
    }

    @Test("a number is read as its type reads it from a text, to its limits and no further")
    func numbers() {
        let texts = [
            "", "-", "+", "0", "-0", "+0", "00012", "12", "-12", "+12", "1 ", " 1", "1x", "--1",
            "+-1", "127", "128", "-128", "-129", "255", "256", "999999999999999999999999",
            "9223372036854775807", "9223372036854775808", "-9223372036854775808",
            "-9223372036854775809", "18446744073709551615", "18446744073709551616", "0x10", "é",
        ]
        for text in texts {
            #expect(number(text, Int.self) == Int(text), "\(text)")
            #expect(number(text, Int8.self) == Int8(text), "\(text)")
            #expect(number(text, UInt8.self) == UInt8(text), "\(text)")
            #expect(number(text, UInt64.self) == UInt64(text), "\(text)")
        }
        #expect(number("-1", UInt8.self) == nil)
        #expect(number("-1", UInt64.self) == nil)
    }

    @Test("a number is read in each radix, with small letters and capitals")
    func radix() {
        var random = Random()
        for radix in 2...36 {
            for _ in 0..<50 {
                let value = Int.random(in: Int.min...Int.max, using: &random)
                let text = String(value, radix: radix)
                #expect(number(text, Int.self, radix: radix) == value)
                #expect(number(text.uppercased(), Int.self, radix: radix) == value)
                let small = UInt8.random(in: 0...UInt8.max, using: &random)
                #expect(number(String(small, radix: radix), UInt8.self, radix: radix) == small)
            }
        }
        #expect(number("2", Int.self, radix: 2) == nil)
        #expect(number("g", Int.self, radix: 16) == nil)
        #expect(number("7f", Int8.self, radix: 16) == 127)
        #expect(number("80", Int8.self, radix: 16) == nil)
    }

    @Test("a radix that there is not, and an index before the first, end the program")
    func preconditions() async {
        await #expect(processExitsWith: .failure) { _ = Int(ascii: Span<UInt8>(), radix: 37) }
        await #expect(processExitsWith: .failure) { _ = Int(ascii: Span<UInt8>(), radix: 1) }
        await #expect(processExitsWith: .failure) {
            _ = [1, 2, 3].span.firstIndex(of: UInt8(9), from: -1)
        }
        await #expect(processExitsWith: .failure) {
            let all: [UInt8] = [1, 2, 3]
            _ = all.span.firstIndex(of: all.span, from: -1)
        }
        await #expect(processExitsWith: .failure) {
            let all: [UInt8] = [1, 2, 3]
            _ = all.span[2...3].count
        }
    }

    /// Where `others` stand first, by the plainest search there is.
    private func place(_ others: [UInt8], _ all: [UInt8], _ start: Int) -> Int? {
        guard start <= all.count - others.count else { return nil }
        return (start...(all.count - others.count)).first {
            Array(all[$0..<($0 + others.count)]) == others
        }
    }

    @Test("searching and comparing give what a plain model gives")
    func search() {
        var random = Random()
        for _ in 0..<3000 {
            let all = random.bytes(0...12)
            let others = random.bytes(0...3)
            let start = Int.random(in: 0...(all.count + 1), using: &random)
            let text = String(decoding: others, as: UTF8.self)
            let seed = random.seed
            let span = all.span
            #expect(
                span.firstIndex(of: others.span, from: start) == place(others, all, start),
                "seed \(seed)")
            #expect(
                span.firstIndex(of: text, from: start) == place(others, all, start), "seed \(seed)")
            #expect(span.starts(with: others.span) == all.starts(with: others), "seed \(seed)")
            #expect(span.starts(with: text) == all.starts(with: others), "seed \(seed)")
            #expect(span.elementsEqual(others.span) == (all == others), "seed \(seed)")
            #expect(span.elementsEqual(text) == (all == others), "seed \(seed)")
            #expect(span.first == all.first && span.last == all.last, "seed \(seed)")
            if let byte = others.first {
                let expected = start > all.count ? nil : all[start...].firstIndex(of: byte)
                #expect(span.firstIndex(of: byte, from: start) == expected, "seed \(seed)")
                #expect((span.contains(byte)) == all.contains(byte), "seed \(seed)")
            }
        }
    }

    @Test("a comparison may ignore the case of ASCII letters, and of no others")
    func ignoringCase() {
        func areEqual(_ one: String, _ other: String) -> Bool {
            bytes(one).span.elementsEqual(other, ignoringCase: true)
        }
        #expect(areEqual("Content-Length", "content-LENGTH"))
        #expect(!areEqual("Content-Length", "content-lengt"))
        #expect(!areEqual("é", "É"))
        // Those beside the letters differ by the same bit and are others.
        #expect(!areEqual("[", "{"))
        #expect(!areEqual("@", "`"))
        let isEqual = bytes("Content-Length").span.elementsEqual("content-LENGTH")
        #expect(!isEqual)
    }

    private func comesBack<Number: FixedWidthInteger & Sendable>(
        _ type: Number.Type, _ random: inout Random
    ) {
        let values: [Number] = [
            0, 1, .max, .min, .random(in: .min ... .max, using: &random),
            .random(in: .min ... .max, using: &random),
        ]
        for value in values {
            for order in [ByteOrder.bigEndian, .littleEndian] {
                var packet: [UInt8] = [7]
                packet.append(value, order)
                #expect(packet.count == 1 + Number.bitWidth / 8)
                #expect(packet.span.integer(at: 1, as: Number.self, order) == value)
                #expect(packet.span.integer(at: 2, as: Number.self, order) == nil)
                #expect(packet.span.integer(at: -1, as: Number.self, order) == nil)
            }
        }
    }

    @Test("an integer of any width comes back as it was, in both orders")
    func integers() {
        var random = Random()
        comesBack(UInt8.self, &random)
        comesBack(Int8.self, &random)
        comesBack(UInt16.self, &random)
        comesBack(Int16.self, &random)
        comesBack(UInt32.self, &random)
        comesBack(Int32.self, &random)
        comesBack(UInt64.self, &random)
        comesBack(Int64.self, &random)
        comesBack(UInt128.self, &random)
        comesBack(Int128.self, &random)
        let port: [UInt8] = [0x12, 0x34]
        #expect(port.span.integer(as: UInt16.self, .bigEndian) == 0x1234)
        #expect(port.span.integer(as: UInt16.self, .littleEndian) == 0x3412)
        #expect(Span<UInt8>().integer(as: UInt8.self, .bigEndian) == nil)
    }

    @Test("blanks around bytes are trimmed, and those between are not")
    func trimmed() {
        func trim(_ text: String) -> String {
            String(decoding: bytes(text).span.trimmed, as: UTF8.self)
        }
        #expect(trim(" \t a b\r\n") == "a b")
        #expect(trim("ab") == "ab")
        #expect(trim(" \n\t\r\u{b}\u{c} ") == "")
        #expect(trim("") == "")
        #expect(trim("x") == "x")
    }

    @Test("the parts of a split are those of an array's, also the empty ones")
    func split() {
        var random = Random()
        let separator = UInt8(ascii: " ")
        for _ in 0..<1000 {
            let all = random.bytes(0...12, of: "a b")
            let most = Int.random(in: 0...4, using: &random)
            let expected = all.split(
                separator: separator, maxSplits: most, omittingEmptySubsequences: false)
            var parts: [[UInt8]] = []
            var split = all.span.split(separator: separator, most: most)
            while let part = split.next() { parts.append(Array(part)) }
            #expect(parts == expected.map { Array($0) }, "seed \(random.seed)")
            let isOver = split.next() == nil
            #expect(isOver)
        }
    }

    @Test("a subscript shows some of the bytes, without a copy")
    func subscripts() {
        let all = bytes("0123456789")
        let span = all.span
        #expect(Array(span[2..<5]) == bytes("234"))
        #expect(Array(span[2...5]) == bytes("2345"))
        #expect(Array(span[8...]) == bytes("89"))
        #expect(Array(span[..<2]) == bytes("01"))
        #expect(Array(span[...2]) == bytes("012"))
        #expect(span[10...].isEmpty == true)
        let isTheSame = span[2..<5].isIdentical(to: span.extracting(2..<5))
        #expect(isTheSame)
    }
}
