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

    /// Receives into `buffer`, and appends what came.
    mutating func receive(
        from descriptor: FileDescriptor, through buffer: inout ReceiveBuffer
    ) throws(SluiceError) -> FileDescriptor.Received {
        let received = try descriptor.receive(into: &buffer)
        append(copying: buffer.bytes)
        return received
    }

    /// Whether the oldest of the waiting bytes are these. There must not be more of these than
    /// wait.
    func begins(with others: Span<UInt8>) -> Bool {
        bytes.span[head...].starts(with: others)
    }

    /// Removes the oldest bytes. The rest moves to the front when it has become the smaller half.
    /// So a byte moves once on average.
    mutating func removeFirst(_ taken: Int) {
        head += taken
        if head >= count {
            bytes.removeFirst(head)
            head = 0
        }
    }
}
