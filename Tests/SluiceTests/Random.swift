import Glibc

/// Random numbers that can be had again: SLUICE_SEED gives the seed, which each test that uses them
/// prints where it fails.
struct Random: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init() {
        let given = unsafe getenv("SLUICE_SEED").flatMap { UInt64(unsafe String(cString: $0)) }
        seed = given ?? UInt64.random(in: 0...UInt64.max)
        state = seed
    }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// Bytes of a small alphabet, so that what is looked for is often there, or nearly.
    mutating func bytes(_ count: ClosedRange<Int>, of alphabet: String = "ab\n\r c") -> [UInt8] {
        let letters = Array(alphabet.utf8)
        return (0..<Int.random(in: count, using: &self)).map { _ in
            letters.randomElement(using: &self)!
        }
    }
}
