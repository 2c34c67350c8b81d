"""A client that sends, and never reads its echo."""

import select
import socket

PIECE = bytes(65536)
HIGH_MARK = 256 << 10
STOP = 32 << 20


def queued(heeds_the_mark):
    """How much the server has queued when the client cannot send any more, or when it is STOP."""
    client, server = socket.socketpair()
    client.setblocking(False)
    server.setblocking(False)
    queue = 0
    quiet = 0
    while quiet < 3 and queue < STOP:
        try:
            said = client.send(PIECE)
        except BlockingIOError:
            said = 0
        reads = [] if heeds_the_mark and queue > HIGH_MARK else [server]
        readable, writable, _ = select.select(reads, [server] if queue else [], [], 0.02)
        if readable:
            queue += len(server.recv(len(PIECE)))
        if writable:
            queue -= server.send(PIECE[:queue])
        quiet = 0 if said or readable or writable else quiet + 1
    return queue


print("it reads on: the queue grows for ever:", queued(False) >= STOP)
print("it stops reading at a mark: below 320 KiB:", queued(True) <= HIGH_MARK + len(PIECE))
