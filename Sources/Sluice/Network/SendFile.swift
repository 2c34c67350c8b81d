internal import CSluice
public import SystemPackage

extension EventLoop {
    /// Has the kernel send bytes of a file: they are not copied into this process. All that was
    /// written before goes first.
    ///
    /// As many go as there is room for. Where that is fewer than `count`, ``Event/drained(_:)``
    /// comes: call again then, with the rest.
    ///
    /// ```swift
    /// let sent = try loop.send(file: file, from: next, count: end - next, to: stream)
    /// next += sent ?? 0
    /// ```
    ///
    /// The file stays the caller's, and its position as it was. A read from a disk takes as long as
    /// the disk does, and the loop waits for it.
    ///
    /// - Parameters:
    ///   - offset: where in the file, in bytes.
    ///   - count: how many bytes, at most.
    /// - Returns: how many bytes went, or `nil` where the stream has gone.
    /// - Complexity: O(bytes), by the kernel. One system call for as many as the high mark.
    /// - Throws: what is the file's fault: ``SluiceError/Code/badDescriptor``, or an errno such as
    ///   `noData` (it ends at or before `offset`) or `invalidArgument` (it is no file).
    @discardableResult
    public func send(
        file: FileDescriptor, from offset: Int64 = 0, count: Int, to stream: StreamID
    ) throws(SluiceError) -> Int? {
        let sent = unsafe sluice_send_file(
            handle, stream.rawValue, file.rawValue, offset, max(0, count))
        guard sent < 0 else { return sent }
        let code = CInt(sent)
        Self.heedThread(SluiceError.Code(rawValue: code))
        // A stream that can send nothing refuses an empty write, too. Else it is the file's fault.
        let asked = unsafe sluice_write(handle, stream.rawValue, nil, 0)
        if asked < 0 { return nil }
        throw SluiceError(code, "send from", .descriptor(file))
    }
}
