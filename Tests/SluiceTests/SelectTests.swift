import Glibc
import Sluice
import SystemPackage
import Testing

@Suite("select", .serialized)
struct SelectTests {
    @Test("answers each list in the order it was asked")
    func lists() throws {
        let (first, second) = (try Pair(), try Pair())
        _ = try second.far.send(bytes("2"))
        _ = try first.far.send(bytes("1"))
        _ = try select(reading: [first.near])
        _ = try select(reading: [second.near])
        let ready = try select(
            reading: [second.near, first.far, first.near],
            writing: [first.far, second.far],
            excepting: [first.near])
        #expect(ready.readable == [second.near, first.near])
        #expect(ready.writable == [first.far, second.far])
        #expect(ready.exceptional.isEmpty)
    }

    @Test("waits for its timeout where nothing is ready, or nothing is asked")
    func timeout() throws {
        let pair = try Pair()
        for reading in [[], [pair.near]] {
            let began = ContinuousClock.now
            let ready = try select(reading: reading, timeout: .milliseconds(3))
            #expect(ContinuousClock.now - began >= .milliseconds(3))
            #expect(ready == Selection())
        }
    }

    @Test("names the descriptor that is not open")
    func badDescriptor() throws {
        let pair = try Pair()
        let bad = FileDescriptor(rawValue: 1_000_000_000)
        do {
            _ = try select(reading: [pair.near], writing: [pair.far, bad])
            Issue.record("a descriptor that is not open was let through")
        } catch {
            #expect(error.code == .badDescriptor)
            #expect("\(error)".hasPrefix("select descriptor 1000000000: not an open descriptor"))
        }
    }

    @Test("has no limit at FD_SETSIZE")
    func highNumber() async {
        // By itself: the limit is every test's, and the number may be another's.
        await #expect(processExitsWith: .success) {
            allowAllDescriptors()
            let pair = try Pair()
            let high = try pair.near.duplicate(as: FileDescriptor(rawValue: 3000))
            #expect(try select(writing: [high]).writable == [high])
        }
    }
}
