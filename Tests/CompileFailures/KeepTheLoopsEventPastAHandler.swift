// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept: Event? = nil
    try loop.run { _, loop in kept = loop.event }
    print(kept?.kind as Any)
}
