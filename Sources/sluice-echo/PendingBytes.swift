import Glibc
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

    /// Whether the oldest that wait are these, of which there are no more than wait.
    func begins(with others: RawSpan) -> Bool {
        // Bytes of UInt8 have no padding, so that each of them is initialized.
        unsafe bytes.span.bytes.extracting(head..<head + others.byteCount).isSame(as: others)
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

extension RawSpan {
    /// Whether the bytes are the same as others, of which there are as many.
    func isSame(as others: RawSpan) -> Bool {
        unsafe withUnsafeBytes { ours in
            unsafe others.withUnsafeBytes { others in
                guard let ours = ours.baseAddress, let theirs = others.baseAddress else {
                    return true
                }
                return unsafe memcmp(ours, theirs, others.count) == 0
            }
        }
    }
}
