// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept: LookupAnswer? = nil
    try loop.run { event, _ in if case .resolved(_, let answer) = event { kept = answer } }
    print(kept?.problem as Any)
}
