internal import CSluice

extension Duration? {
    /// The timeout as C takes it. It is rounded up to a nanosecond, so that no wait ends early.
    /// `nil` and anything over 292 years is for ever. Zero and less is without waiting.
    var timeoutInNanoseconds: Int64 {
        guard let self, self < .nanoseconds(Int64.max) else { return Int64.max }
        guard self > .zero else { return 0 }
        // Some durations do not fit into `components`, but those are too long or negative, and
        // ended above.
        let (seconds, attoseconds) = self.components
        return seconds * 1_000_000_000 + (attoseconds + 999_999_999) / 1_000_000_000
    }
}
