"""The standard selectors are pulled, too. But they give a batch, and an event of it may be of a connection
that is gone."""

import selectors
import socket

selector = selectors.DefaultSelector()
clients, servers = {}, {}
for name in "AB":
    clients[name], servers[name] = socket.socketpair()
    clients[name].sendall(b"hello")
    selector.register(servers[name], selectors.EVENT_READ, name)

batch = selector.select()
for number, (key, _) in enumerate(batch):
    if number == 0:
        other = "B" if key.data == "A" else "A"
        selector.unregister(servers[other])
        servers[other].close()
        print("the first closes the other")
    elif key.fileobj.fileno() < 0:
        print("an event of one that is closed: it must be passed over")
