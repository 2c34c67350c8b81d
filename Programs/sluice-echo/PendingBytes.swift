import Sluice
import SystemPackage

/// Bytes that wait: appended at the end, taken from the front.
struct PendingBytes {
    private var bytes: [UInt8] = []
    private var head = 0

    var count: Int { bytes.count - head }
    var isEmpty: Bool { count == 0 }

    /// The bytes that wait, the oldest first.
    var waiting: ArraySlice<UInt8> { bytes[head...] }

    mutating func append(copying more: Span<UInt8>) {
        bytes.append(contentsOf: more)
    }

    /// Receives into `buffer`, and appends what that brought.
    mutating func receive(
        from descriptor: FileDescriptor, through buffer: inout ReceiveBuffer
    ) throws(SluiceError) -> FileDescriptor.Received {
        let received = try descriptor.receive(into: &buffer)
        append(copying: buffer.bytes)
        return received
    }

    /// Whether the oldest that wait are these, of which there are no more than wait.
    func begins(with others: Span<UInt8>) -> Bool {
        bytes.span[head...].starts(with: others)
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
}
