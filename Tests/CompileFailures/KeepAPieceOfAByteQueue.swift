// expect: overlapping accesses to 'queue'
import Sluice

func keepAPiece() throws {
    var queue = try ByteQueue()
    try queue.append("hello")
    let kept = queue.firstPiece
    try queue.removeFirst(5)
    print(kept.count)
}
