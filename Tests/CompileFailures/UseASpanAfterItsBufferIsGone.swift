// expect: overlapping accesses to 'buffer', but deinitialization requires exclusive access
import Sluice
import SystemPackage

func end(_ buffer: consuming ReceiveBuffer) {}
func f(_ descriptor: FileDescriptor) throws {
    var buffer = ReceiveBuffer(capacity: 16)
    _ = try descriptor.receive(into: &buffer)
    let bytes = buffer.bytes
    end(buffer)
    print(bytes.count)
}
