"""A client that sends and does not read.

It uses a unix socket, where room comes at once when the server reads. Over TCP the kernel's timers
would also decide when the next byte may be sent.
"""

import select

from sockets import exchange

PIECE = bytes(range(256)) * 256
KERNEL_ROOM = 2 << 20  # more than the kernel keeps on the way there and back


class Flood:
    """Sends to `client` for as long as the server takes it, while `other` is served.

    The server has stopped reading if nothing more fits, although it has answered `other` many times
    since then. Ends there, or at `most` bytes, or when the server ends the connection.
    """

    ROUNDS = 400  # a server that reads 1,024 bytes a turn needs some turns until more fits

    def __init__(self, client, other, most):
        self.sent = 0
        self.exchanged = 0  # what `other` has sent and got back
        self.parted = False
        client.setblocking(False)
        try:
            while self.sent < most and self.fits_soon(client, other):
                self.sent += client.send(PIECE[self.sent % len(PIECE):])
        except (ConnectionResetError, BrokenPipeError):
            self.parted = True

    def fits_soon(self, client, other):
        for _ in range(self.ROUNDS):
            if select.select([], [client], [], 0)[1]:
                return True
            exchange(other, b"meanwhile")
            self.exchanged += len(b"meanwhile")
        return False

    def echo(self):
        """What must come back."""
        return (PIECE * (self.sent // len(PIECE) + 1))[:self.sent]
