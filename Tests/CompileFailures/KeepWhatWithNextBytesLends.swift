// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice

func keep(_ connection: Connection) async throws {
    var kept = Span<UInt8>()
    _ = try await connection.withNextBytes { bytes in kept = bytes }
    print(kept.count)
}
