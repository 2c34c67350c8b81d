// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice
import SystemPackage

func keepASpan(_ descriptor: FileDescriptor) throws {
    var kept = Span<UInt8>()
    do {
        var buffer = ReceiveBuffer(capacity: 16)
        _ = try descriptor.receive(into: &buffer)
        kept = buffer.bytes
    }
    print(kept.count)
}
