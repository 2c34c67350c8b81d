// expect: mutation of captured var 'kept' in concurrently-executing code
import Sluice

func f() throws {
    var kept = Span<UInt8>()
    let thread = try LoopThread(EventLoop()) { loop in
        _ = try loop.next()
        if case .data(_, let bytes) = loop.event { kept = bytes }
    }
    try thread.join()
    print(kept.count)
}
