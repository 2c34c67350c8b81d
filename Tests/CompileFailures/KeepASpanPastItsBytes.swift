// expect: lifetime-dependent variable .kept. escapes its scope
import Sluice

func keep(_ connection: Connection) async throws {
    var kept = Span<UInt8>()
    for try await bytes in connection.inbound { kept = bytes.span }
    print(kept.count)
}
