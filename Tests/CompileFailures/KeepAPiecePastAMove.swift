// expect: overlapping accesses to 'queue', but modification requires exclusive access
import Sluice

func f() throws {
    var queue = try ByteQueue()
    var other = try ByteQueue()
    let piece = queue.firstPiece
    try other.append(moving: &queue)
    print(piece.count)
}
