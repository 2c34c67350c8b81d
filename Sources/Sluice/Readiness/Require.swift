// How a program that is wrong is ended. Decided against: precondition. It says nothing in an optimised
// build, and that is the build in which a server meets the fault.

/// Ends the program with the message, unless `isSo`.
@inlinable
@inline(__always)
func require(
    _ isSo: @autoclosure () -> Bool, _ message: @autoclosure () -> String,
    file: StaticString = #fileID, line: UInt = #line
) {
    if !isSo() { fatalError(message(), file: file, line: line) }
}
