import Glibc
import SystemPackage

/// Makes sure that the numbers 0, 1 and 2 are taken. If a program is started without one of them
/// (`<&-`, `>&-`), the next file that it opens gets that number. Then a line meant for standard
/// output would go to a client.
///
/// What is opened there has the wrong direction. So using it fails, as it does on a closed
/// descriptor.
func takeStandardDescriptors() {
    let modes: [(FileDescriptor, FileDescriptor.AccessMode)] = [
        (.standardInput, .writeOnly), (.standardOutput, .readOnly), (.standardError, .readOnly),
    ]
    for (descriptor, mode) in modes where fcntl(descriptor.rawValue, F_GETFD) < 0 {
        // It gets the lowest free number, which is this one.
        _ = try? FileDescriptor.open("/dev/null", mode)
    }
}

/// Refuses to begin without a standard input.
func requireStandardInput() throws {
    guard FileDescriptor.standardInput.accessMode != O_WRONLY else {
        throw ClientFailure(
            "standard input is closed, or not open for reading; for an empty one, add: </dev/null")
    }
}

/// Refuses to begin without a standard output.
func requireStandardOutput() throws {
    guard FileDescriptor.standardOutput.accessMode != O_RDONLY else {
        throw ClientFailure(
            "standard output is closed, or not open for writing; to have none, add: >/dev/null")
    }
}

extension FileDescriptor {
    fileprivate var accessMode: CInt { fcntl(rawValue, F_GETFL) & O_ACCMODE }
}
