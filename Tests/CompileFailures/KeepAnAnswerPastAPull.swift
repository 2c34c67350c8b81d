// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice

func keepAnAnswer() throws {
    var loop = try EventLoop()
    var kept: LookupAnswer? = nil
    while try loop.next() {
        if let answer = kept { print(answer.addresses) }
        if case .resolved(_, let answer) = loop.event { kept = answer }
    }
}
