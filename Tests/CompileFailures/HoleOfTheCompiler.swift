// What must not compile and does (Swift 6.3), also with the span of an array: a variable of a type that is
// neither copyable nor escapable may be kept too long. Sluice has no such type. Once this is refused, say
// so with an "expect" line, and take the sentence about it out of docs/swift.md.
import Sluice

enum Kept: ~Copyable, ~Escapable {
    case nothing
    case bytes(Span<UInt8>)
}

func keepBytes() throws {
    var loop = try EventLoop()
    var kept = Kept.nothing
    try loop.run { event, _ in
        if case .data(_, let bytes) = event { kept = .bytes(bytes) }
    }
    if case .bytes(let bytes) = kept { print(bytes.count) }
}
