// expect: overlapping accesses to 'buffer'
import Sluice
import SystemPackage

func keepASpan(_ descriptor: FileDescriptor) throws {
    var buffer = ReceiveBuffer(capacity: 16)
    _ = try descriptor.receive(into: &buffer)
    let kept = buffer.bytes
    _ = try descriptor.receive(into: &buffer)
    print(kept.count)
}
