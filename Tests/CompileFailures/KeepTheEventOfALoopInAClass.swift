// expect: lifetime-dependent variable 'bytes' escapes its scope
import Sluice

final class Holder {
    var loop: EventLoop
    init() throws { loop = try EventLoop() }
}
func f(_ holder: Holder) throws {
    let event = holder.loop.event
    _ = try holder.loop.next()
    if case .data(_, let bytes) = event { print(bytes.count) }
}
