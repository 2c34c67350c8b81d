"""A client that does not read its answer, and another that waits for its own."""

import select
import socket

LONG_ANSWER = bytes(16 << 20)
slow, to_slow = socket.socketpair()
quick, to_quick = socket.socketpair()
queues = {}


def answer(peer, data):
    """Takes all the data and never waits."""
    queues.setdefault(peer, bytearray()).extend(data)


def turn():
    """Sends what there is room for."""
    _, writable, _ = select.select([], list(queues), [], 1)
    for peer in writable:
        del queues[peer][:peer.send(queues[peer])]
        if not queues[peer]:
            del queues[peer]


for peer in (to_slow, to_quick):
    peer.setblocking(False)
answer(to_slow, LONG_ANSWER)
answer(to_quick, b"hello")
turn()
print("the quick one has:", quick.recv(100).decode())
print("for the slow one something is queued:", "yes" if queues[to_slow] else "no")
received = 0
while received < len(LONG_ANSWER):
    received += len(slow.recv(1 << 20))  # now it reads
    if queues:
        turn()
print("in the end it has all", received, "bytes, and", len(queues), "are queued")
