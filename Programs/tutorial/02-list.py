"""Three clients. The first one sends nothing."""

import select
import socket

pairs = {name: socket.socketpair() for name in "ABC"}
servers = {server: name for name, (_, server) in pairs.items()}
pairs["B"][0].sendall(b"from B")
pairs["C"][0].sendall(b"from C")

readable, _, _ = select.select(list(servers), [], [])
print("select says that", len(readable), "can be read:")
for server in readable:
    print(f"{servers[server]}: {server.recv(100).decode()}")
