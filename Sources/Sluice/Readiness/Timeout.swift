internal import CSluice

extension Duration? {
    /// The timeout as C takes it: rounded up to a nanosecond, so that no wait ends early, `nil` and
    /// what is over 292 years for ever, and a moment that is past already without waiting.
    var timeoutInNanoseconds: Int64 {
        guard let self else { return Int64.max }
        let (seconds, attoseconds) = self.components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, tooLong) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let rest = (attoseconds + 999_999_999) / 1_000_000_000
        let (total, tooLongToo) = whole.addingReportingOverflow(rest)
        return tooLong || tooLongToo ? Int64.max : total
    }
}
