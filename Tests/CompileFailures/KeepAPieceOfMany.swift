// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f() throws {
    var queue = try ByteQueue()
    var kept = Span<UInt8>()
    queue.forEachPiece { kept = $0 }
    try queue.removeFirst(1)
    print(kept.count)
}
