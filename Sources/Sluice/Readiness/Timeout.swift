internal import CSluice

extension Duration? {
    /// The timeout as C takes it: rounded up to a nanosecond, so that no wait ends early, `nil` and
    /// what is over 292 years for ever, and a moment that is past already without waiting.
    var timeoutInNanoseconds: Int64 {
        guard let self, self < .nanoseconds(Int64.max) else { return Int64.max }
        guard self > .zero else { return 0 }
        // There are durations of which this cannot be asked, but they are longer or past.
        let (seconds, attoseconds) = self.components
        return seconds * 1_000_000_000 + (attoseconds + 999_999_999) / 1_000_000_000
    }
}
