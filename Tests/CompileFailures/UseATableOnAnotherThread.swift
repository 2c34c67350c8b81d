// expect: sending value of non-Sendable type '() async -> Int' risks causing data races
import Sluice

func f() async throws {
    let loop = try EventLoop()
    let table = PerStream<Int>(in: loop)
    let task = Task.detached { table.count }
    print(await task.value, table.count, loop.now)
}
