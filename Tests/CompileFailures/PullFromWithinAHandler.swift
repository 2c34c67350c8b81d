// expect: cannot use mutating member on immutable value: 'loop'
import Sluice

func pullFromWithinAHandler() throws {
    var loop = try EventLoop()
    try loop.run { _, loop in _ = try loop.next() }
}
