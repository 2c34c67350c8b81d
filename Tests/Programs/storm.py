"""A storm: many clients at once, each of which sends a random amount and leaves in its own way.

How they leave (their fate):
  orderly   sends everything, then half-closes, and reads to the end: every byte comes back, in order
  silent    half-closes at once, having sent nothing
  reset     closes midway with an RST
  vanish    closes midway without reading what has come back
  urgent    sends an out-of-band byte midway; the server parts with it, or goes on without that byte

With every fate, what comes back is at each moment a prefix of what was sent, and the server does not
end a connection before its fate. There is one thread with one selector.
"""

import selectors
import socket
import time

from sockets import PATIENCE, reset, socket_address

CLIENTS = 200
NO_LIMIT = 1 << 30


class Client:
    def __init__(self, storm, number):
        choose = storm.random
        self.storm = storm
        self.fate = choose.choice(storm.fates)
        self.name = f"client {number} ({self.fate})"
        size = choose.choice((0, 1, choose.randrange(2, 2000), choose.randrange(2000, 60000)))
        self.data = b"" if self.fate == "silent" else choose.randbytes(size)
        self.fated_at = choose.randint(0, len(self.data))
        self.sent = 0
        self.received = 0
        self.finished_sending = False
        self.awaits_parting = False
        family, address = socket_address(storm.address)
        self.socket = socket.socket(family)
        self.socket.setblocking(False)
        self.socket.connect_ex(address)
        storm.selector.register(self.socket, selectors.EVENT_WRITE, self)

    def step(self, events):
        """One turn. Returns false when the client is done."""
        if events & selectors.EVENT_READ and not self.receive():
            return False
        if events & selectors.EVENT_WRITE and not self.send():
            return False
        sends = not self.finished_sending and self.room() > 0
        self.storm.selector.modify(
            self.socket,
            selectors.EVENT_READ | (selectors.EVENT_WRITE if sends else 0), self)
        return True

    def room(self):
        return self.storm.most_outstanding - (self.sent - self.received)

    def receive(self):
        try:
            piece = self.socket.recv(1 << 16)
        except ConnectionResetError:
            if not self.awaits_parting:
                self.storm.fail(self, "the server reset the connection")
            return False
        if piece != self.data[self.received:self.received + len(piece)]:
            self.storm.fail(self, f"wrong bytes after {self.received} right ones")
            return False
        self.received += len(piece)
        if self.received > self.sent:
            self.storm.fail(self, "more came back than was sent")
        if not piece and not self.awaits_parting and not self.is_complete():
            self.storm.fail(self, f"the end came after {self.received} of {len(self.data)} bytes")
        return piece != b""

    def is_complete(self):
        return self.finished_sending and self.received == len(self.data)

    def send(self):
        if self.fate in ("reset", "vanish", "urgent") and self.sent >= self.fated_at:
            return self.meet_fate()
        count = min(self.storm.random.randint(1, 16384), self.room())
        if self.fate in ("reset", "vanish", "urgent"):
            count = min(count, self.fated_at - self.sent)
        self.sent += self.socket.send(self.data[self.sent:self.sent + count])
        if self.sent == len(self.data) and self.fate in ("orderly", "silent"):
            self.finish_sending()
        return True

    def finish_sending(self):
        self.socket.shutdown(socket.SHUT_WR)
        self.finished_sending = True

    def meet_fate(self):
        if self.fate == "reset":
            reset(self.socket)
            return False
        if self.fate == "vanish":
            return False
        self.socket.send(b"!", socket.MSG_OOB)
        if self.storm.urgent_parts:
            self.awaits_parting = self.finished_sending = True
        else:
            self.fate = "orderly"
        return True


class Storm:
    """`urgent` is None (nobody sends an out-of-band byte), "parts" or "ignored"."""

    def __init__(self, address, random, urgent=None, most_outstanding=NO_LIMIT):
        self.address = address
        self.random = random
        self.urgent_parts = urgent == "parts"
        self.most_outstanding = most_outstanding
        self.fates = ["orderly", "orderly", "silent", "reset", "vanish"] + ["urgent"] * bool(urgent)
        self.failures = []

    def fail(self, client, why):
        self.failures.append(f"{client.name}: {why}")

    def run(self):
        """Raises AssertionError unless everything went as it must."""
        with selectors.DefaultSelector() as self.selector:
            clients = [Client(self, number) for number in range(CLIENTS)]
            try:
                self.turn(clients)
            finally:
                for client in clients:
                    client.socket.close()
        self.sent = sum(client.sent for client in clients)
        self.received = sum(client.received for client in clients)
        if self.failures:
            raise AssertionError("; ".join(self.failures[:5]))

    def turn(self, clients):
        left = set(clients)
        end = time.monotonic() + PATIENCE
        while left:
            for key, events in self.selector.select(1):
                client = key.data
                try:
                    goes_on = client.step(events)
                except OSError as error:
                    self.fail(client, f"{error} after {client.sent} bytes")
                    goes_on = False
                if not goes_on:
                    self.selector.unregister(key.fileobj)
                    client.socket.close()
                    left.remove(client)
            if time.monotonic() > end:
                some = ", ".join(f"{client.name} sent {client.sent}, received {client.received}"
                                 for client in list(left)[:5])
                raise AssertionError(f"{len(left)} clients are not served: {some}")
