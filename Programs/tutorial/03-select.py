"""select returns new lists. "Can be read" does not mean "has bytes"."""

import select
import socket

client, server = socket.socketpair()
client.close()
rounds = 0
while rounds < 1000:
    readable, _, _ = select.select([server], [], [])
    rounds += len(readable)
    received = server.recv(100)
print("the client has left: readable", rounds, "times,", len(received), "bytes")
