// Says which backends there are, and sends a text to itself through each.

import Sluice

for backend in Backend.all {
    var loop = try EventLoop(backend)
    let listener = try loop.listen(on: "127.0.0.1:0")
    let near = try loop.connect(to: try loop.localAddress(of: listener))
    loop.write("hello", to: near)
    var received = 0
    while received < 5, try loop.next() {
        if case .data(_, let bytes) = loop.event { received += bytes.count }
    }
    print(backend)
}
