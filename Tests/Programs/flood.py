"""A client that sends and does not read.

It is a unix socket, where what the server reads makes room at once: over TCP the kernel's timers
would decide, too, when the next byte may be sent.
"""

import select

from sockets import exchange

PIECE = bytes(range(256)) * 256
KERNEL_ROOM = 2 << 20  # more than the kernel keeps on the way there and back


class Flood:
    """Sends to `client` for as long as the server takes it, while `other` is served.

    The server has stopped reading when nothing more fits although it has since then answered
    `other` many times. Ends there, or at `most` bytes, or where the server parts with the client.
    """

    ROUNDS = 400  # a server that reads 1,024 bytes a turn needs some until more fits

    def __init__(self, client, other, most):
        self.sent = 0
        self.exchanged = 0  # what `other` sent, and got back
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
