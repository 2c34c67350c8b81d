// expect: sending 'table' risks causing data races
import Sluice

func send(_ table: sending PerStream<Int>) {}
func f() throws {
    var loop = try EventLoop()
    let table = PerStream<Int>(in: loop)
    send(table)
    _ = try loop.next()
}
