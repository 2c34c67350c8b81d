// expect: implicit conversion to 'OutputRawSpan?' is consuming
import Sluice

func f() throws {
    var queue = try ByteQueue()
    var kept: OutputRawSpan? = nil
    try queue.append(room: 10) { room in kept = room }
    kept?.append(1)
}
