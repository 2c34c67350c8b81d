// expect: implicit conversion to 'EventLoop?' is consuming
import Sluice

func f() throws {
    var loop = try EventLoop()
    var kept: EventLoop? = nil
    try loop.run { _, loop in kept = loop }
    print(kept == nil)
}
