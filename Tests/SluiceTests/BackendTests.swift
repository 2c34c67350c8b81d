import Glibc
import Sluice
import Testing

@Suite("Backend", .serialized)
struct BackendTests {
    private let libeventMethods = ["libevent:epoll", "libevent:poll", "libevent:select"]

    @Test("is found by name, best first, and nowhere else")
    func names() throws {
        #expect(Backend.all.prefix(3) == [.epoll, .poll, .select])
        #if Libevent
            #expect(Backend.all.dropFirst(3).map(\.name) == libeventMethods)
            #expect(Backend.libevent.name == "libevent:epoll")
            #expect(Backend("libevent") == .libevent)
            #expect(try Poller(.libevent).backend == .libevent)
        #else
            #expect(Backend.all.count == 3)
            #expect(Backend("libevent") == nil)
        #endif
        for backend in Backend.all { #expect(Backend(backend.name) == backend) }
        #expect(Backend("kqueue") == nil)
        #expect(Backend("") == nil)
    }

    @Test("SLUICE_BACKEND chooses the default, and a wrong one is named")
    func environment() async {
        // By itself, for the environment is every test's.
        await #expect(processExitsWith: .success) {
            for backend in Backend.all {
                unsafe setenv("SLUICE_BACKEND", backend.name, 1)
                #expect(try Poller().backend == backend)
            }
            unsafe setenv("SLUICE_BACKEND", "kqueue", 1)
            do {
                _ = try Poller()
                Issue.record("an unknown backend was let through")
            } catch let error as SluiceError {
                #expect(error.code == .unknownBackend)
                #expect(
                    "\(error)".hasPrefix(
                        "create poller \"SLUICE_BACKEND=kqueue\": no such backend"))
            }
            unsafe unsetenv("SLUICE_BACKEND")
            #expect(try Poller().backend == .epoll)
        }
    }

    @Test("select alone cannot tell conditions apart, epoll alone has edges, libevent no priority")
    func features() throws {
        #expect(try Poller(.select).features == [.oneShot, .priority, .interruptible])
        #expect(
            try Poller(.poll).features == [.oneShot, .priority, .conditions, .interruptible])
        #expect(
            try Poller(.epoll).features
                == [.oneShot, .priority, .conditions, .edge, .interruptible])
        for backend in Backend.all.dropFirst(3) {
            let edge: Features = backend.name.hasSuffix(":epoll") ? .edge : []
            #expect(try Poller(backend).features == [.oneShot, edge])
        }
    }
}
