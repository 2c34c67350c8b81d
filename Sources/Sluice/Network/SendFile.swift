internal import CSluice
public import SystemPackage

extension EventLoop {
    /// Makes the kernel send bytes of a file. They are not copied into this process. All that was
    /// written before goes first.
    ///
    /// It sends as many bytes as there is room for. If those are fewer than `count`,
    /// ``Event/drained(_:)`` comes. Then call again with the rest.
    ///
    /// ```swift
    /// let sent = try loop.send(file: file, from: next, count: end - next, to: stream)
    /// next += sent ?? 0
    /// ```
    ///
    /// The file stays the caller's, and its position stays as it was. A read from a disk takes as
    /// long as the disk does, and the loop waits for it.
    ///
    /// - Parameters:
    ///   - offset: where in the file to begin, in bytes.
    ///   - count: how many bytes, at most.
    /// - Returns: how many bytes went, or `nil` if the stream is gone.
    /// - Complexity: O(bytes), by the kernel. One system call for as many bytes as the high mark.
    /// - Throws: an error of the file: ``SluiceError/Code/badDescriptor``, or an errno such as
    ///   `noData` (the file ends at or before `offset`) or `invalidArgument` (it is not a file).
    @discardableResult
    public func send(
        file: FileDescriptor, from offset: Int64 = 0, count: Int, to stream: StreamID
    ) throws(SluiceError) -> Int? {
        let sent = unsafe sluice_send_file(
            handle, stream.rawValue, file.rawValue, offset, max(0, count))
        guard sent < 0 else { return sent }
        let code = CInt(sent)
        Self.heedThread(SluiceError.Code(rawValue: code))
        // A stream that can send nothing refuses an empty write, too. Otherwise the error is the
        // file's.
        let asked = unsafe sluice_write(handle, stream.rawValue, nil, 0)
        if asked < 0 { return nil }
        throw SluiceError(code, "send from", .descriptor(file))
    }
}
