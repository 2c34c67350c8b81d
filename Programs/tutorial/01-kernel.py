"""The kernel keeps the bytes of a connection until the program reads them."""

import array
import fcntl
import socket
import termios

client, server = socket.socketpair()


def waiting(end):
    count = array.array("i", [0])
    fcntl.ioctl(end, termios.FIONREAD, count)
    return count[0]


client.sendall(b"hello")
print("in the kernel:", waiting(server), "bytes")
print("read:", len(server.recv(100)), "bytes, and", waiting(server), "are left")
server.setblocking(False)
try:
    server.recv(100)
except BlockingIOError:
    print("a read that does not block: BlockingIOError")
