// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept: Event? = nil
    try loop.run { event, _ in kept = event }
    print(kept?.kind as Any)
}
