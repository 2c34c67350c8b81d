// expect: lifetime-dependent variable .span. escapes its scope
import Sluice

func keep(_ connection: Connection) async throws {
    guard let bytes = try await connection.next() else { return }
    let span = bytes.span
    Task { print(span.count) }
}
