// expect: lifetime-dependent variable 'kept' escapes its scope
import Sluice

func f(_ loop: inout EventLoop) throws {
    var kept: Span<UInt8>? = nil
    repeat {
        if let bytes = kept { print(bytes.count) }
        if case .data(_, let bytes) = loop.event { kept = .some(bytes) }
    } while try loop.next()
}
