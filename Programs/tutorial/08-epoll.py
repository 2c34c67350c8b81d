"""Level, edge, and the bug that everyone writes with edge."""

import select
import socket

client, server = socket.socketpair()
server.setblocking(False)


def watch(flags):
    epoll = select.epoll()
    epoll.register(server, select.EPOLLIN | flags)
    return epoll


level = watch(0)
client.sendall(b"eight by")
print("level: ready", len(level.poll(0.1)), end="")
server.recv(4)
print(", and after 4 of 8 bytes are read:", len(level.poll(0.1)))
server.recv(4)
level.close()

edge = watch(select.EPOLLET)
client.sendall(b"eight by")
print("edge: ready", len(edge.poll(0.1)), end="")
server.recv(4)  # one read for each event: the bug
print(", and after 4 of 8 bytes are read:", len(edge.poll(0.1)))

client.sendall(b"eight by")
total = 0
if edge.poll(0.1):
    try:
        while data := server.recv(4):
            total += len(data)
    except BlockingIOError:
        print("read until BlockingIOError:", total, "bytes, those 4 too")
