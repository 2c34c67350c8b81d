// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice

func keep(_ connection: Connection) async throws {
    var kept = Span<UInt8>()
    try await connection.reader.read { input in kept = input.span }
    print(kept.count)
}
