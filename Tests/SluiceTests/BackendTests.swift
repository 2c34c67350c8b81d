import Glibc
import Sluice
import Testing

@Suite("Backend", .serialized)
struct BackendTests {
    @Test("is found by name, best first, and nowhere else")
    func names() {
        #expect(Backend.all == [.epoll, .poll, .select])
        for backend in Backend.all { #expect(Backend(backend.name) == backend) }
        #expect(Backend("kqueue") == nil)
        #expect(Backend("") == nil)
    }

    @Test("SLUICE_BACKEND chooses the default, and a wrong one is named")
    func environment() throws {
        defer { unsafe unsetenv("SLUICE_BACKEND") }
        for backend in Backend.all {
            unsafe setenv("SLUICE_BACKEND", backend.name, 1)
            #expect(try Poller().backend == backend)
        }
        unsafe setenv("SLUICE_BACKEND", "kqueue", 1)
        do {
            _ = try Poller()
            Issue.record("an unknown backend was let through")
        } catch {
            #expect(error.code == .unknownBackend)
            #expect(
                "\(error)".hasPrefix("create poller \"SLUICE_BACKEND=kqueue\": no such backend"))
        }
        unsafe unsetenv("SLUICE_BACKEND")
        #expect(try Poller().backend == .epoll)
    }

    @Test("select alone cannot tell conditions apart, epoll alone has edges")
    func features() throws {
        #expect(try Poller(.select).features == [.oneShot])
        #expect(try Poller(.poll).features == [.oneShot, .conditions])
        #expect(try Poller(.epoll).features == [.oneShot, .conditions, .edge])
    }
}
