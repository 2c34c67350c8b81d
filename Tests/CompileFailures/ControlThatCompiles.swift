// The control: it compiles, so that the others fail for what they do and not for how they are
// compiled.
import Sluice
import SystemPackage

func control(_ descriptor: FileDescriptor) throws {
    var poller = try Poller()
    try poller.add(descriptor, interest: .read)
    try poller.wait(timeout: .zero)
    while let event = poller.next() { print(event.descriptor) }
    var buffer = ReceiveBuffer(capacity: 16)
    _ = try descriptor.receive(into: &buffer)
    print(buffer.bytes.count)
}
