"""Clients of an echo server under faults, and how each of them fared.

Each sends a random amount in random pieces, half-closes, and reads to the end. It compares what comes
back as it comes. If a client's connection ends before everything is back, the server has parted with
the client. The client notes how much was missing, and another takes its place. If nothing moves any
more, the clients that wait are stuck.
"""

import selectors
import socket
import time

STUCK_AFTER = 30  # seconds; on a busy machine a server may wait for a processor for some


class Client:
    def __init__(self, clients):
        choose = clients.random
        self.data = choose.randbytes(choose.choice((0, 1, 100, 2000, choose.randrange(60000))))
        self.random = choose
        self.sent = 0
        self.received = 0
        self.is_wrong = False
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(clients.address)
        self.finished_sending = False

    def missing(self):
        """The number of bytes that the server may have had and that did not come back."""
        return self.sent - self.received

    def step(self, events):
        """One turn. Returns whether the client goes on."""
        if events & selectors.EVENT_READ:
            piece = self.socket.recv(1 << 16)
            if piece != self.data[self.received:self.received + len(piece)]:
                self.is_wrong = True
                return False
            self.received += len(piece)
            if not piece:
                return False
        if events & selectors.EVENT_WRITE and not self.finished_sending:
            self.send()
        return True

    def send(self):
        end = self.sent + self.random.choice((1, 64, self.random.randint(1, 20000)))
        self.sent += self.socket.send(self.data[self.sent:end])
        if self.sent == len(self.data):
            self.socket.shutdown(socket.SHUT_WR)
            self.finished_sending = True

    def wants(self):
        return selectors.EVENT_READ | (0 if self.finished_sending else selectors.EVENT_WRITE)

    def is_served(self):
        return self.finished_sending and self.received == len(self.data)


class Clients:
    """A number of clients, of which `at_once` are there at a time. `served` is how many have got
    everything. `parted` and `stuck` have what each of those clients missed. `wrong` is how many got other
    bytes. If a client is refused, there is no server any more, and no more clients come."""

    def __init__(self, address, random, count, at_once=40, attempts=3):
        self.address = address
        self.random = random
        self.wanted = count
        self.at_once = at_once
        self.attempts_left = attempts * count
        self.bytes = self.served = self.wrong = 0
        self.parted, self.stuck = [], []

    def run(self):
        with selectors.DefaultSelector() as self.selector:
            self.begin()
            last = time.monotonic()
            while self.selector.get_map() and time.monotonic() - last < STUCK_AFTER:
                for key, events in self.selector.select(0.2):
                    self.turn(key.data, events)
                    last = time.monotonic()
            for key in list(self.selector.get_map().values()):
                self.stuck.append(key.data.missing())
                key.data.socket.close()
        return self

    def drop(self, client):
        self.selector.unregister(client.socket)
        client.socket.close()

    def begin(self):
        under_way = len(self.selector.get_map())
        while under_way < self.at_once and self.attempts_left > 0 and (
                self.served + self.wrong + under_way < self.wanted):
            client = Client(self)
            self.selector.register(client.socket, client.wants(), client)
            self.attempts_left -= 1
            under_way += 1

    def turn(self, client, events):
        try:
            goes_on = client.step(events)
        except ConnectionRefusedError:
            self.attempts_left = 0
            self.drop(client)
            return
        except OSError:
            goes_on = False
        if goes_on:
            self.selector.modify(client.socket, client.wants(), client)
            return
        self.drop(client)
        self.bytes += client.received
        if client.is_wrong:
            self.wrong += 1
        elif client.is_served():
            self.served += 1
        else:
            self.parted.append(client.missing())
        self.begin()
