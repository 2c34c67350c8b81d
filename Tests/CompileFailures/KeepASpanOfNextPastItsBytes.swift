// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice

func keep(_ connection: Connection) async throws {
    var kept = Span<UInt8>()
    while let bytes = try await connection.next() { kept = bytes.span }
    print(kept.count)
}
