import Sluice
import SystemPackage

/// Bytes that wait to be sent: appended at the end, taken from the front.
struct PendingBytes {
    private var bytes: [UInt8] = []
    private var head = 0

    var count: Int { bytes.count - head }
    var isEmpty: Bool { count == 0 }

    /// The bytes that wait, the oldest first.
    var waiting: ArraySlice<UInt8> { bytes[head...] }

    mutating func append(copying more: RawSpan) {
        bytes.append(copying: more)
    }

    /// Receives into `buffer`, and appends what that brought.
    mutating func receive(
        from descriptor: FileDescriptor, through buffer: inout ReceiveBuffer
    ) throws(SluiceError) -> FileDescriptor.Received {
        let received = try descriptor.receive(into: &buffer)
        append(copying: buffer.bytes)
        return received
    }

    /// Takes the oldest away. The rest moves to the front once it is the smaller half, so that a
    /// byte moves once on average.
    mutating func removeFirst(_ taken: Int) {
        head += taken
        if head >= count {
            bytes.removeFirst(head)
            head = 0
        }
    }

    /// Sends as many as fit, of all but the first `skipped`, and leaves them here.
    func send(to descriptor: FileDescriptor, skipping skipped: Int = 0) throws(SluiceError) -> Int {
        try descriptor.send(bytes.span.extracting((head + skipped)...))
    }
}
