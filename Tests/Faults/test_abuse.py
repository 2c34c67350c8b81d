"""What clients can do to an echo server in C. The server does not spin, leak, or keep others waiting.

Here the interposer only counts waits, and turns in which nothing was done. The numbers are printed for
docs/reliability.md.
"""

import contextlib
import resource
import selectors
import socket
import struct
import time
import unittest

from faults import BACKENDS, PATIENCE, SERVERS, Server

SILENT = 5000
FLOOD = 3000
EXCHANGES = 300


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def read_exactly(client, count):
    data = b""
    while len(data) < count and (piece := client.recv(count - len(data))):
        data += piece
    return data


def reset(client):
    """Closes with an RST instead of a FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class Abuse(unittest.TestCase):
    def over_backends(self, abuse):
        """Does `abuse` to a server, which serves as before afterwards."""
        for backend in BACKENDS:
            with self.subTest(backend=backend), Server(SERVERS["c"], backend) as server:
                self.backend = backend
                with server.connect() as client:
                    self.exchange(client)
                self.assertEqual(server.leaked(), 0)
                abuse(server)
                with server.connect() as client:
                    self.exchange(client)
                self.assertEqual(server.leaked(), 0)
                self.assertEqual(server.tally().spins, 0)
                self.assertEqual(server.end(), 0)

    def exchange(self, client, data=b"are you there?"):
        client.sendall(data)
        self.assertEqual(read_exactly(client, len(data)), data)

    def report(self, text):
        print(f"figure: {self.backend}, {text}")

    def test_5000_silent_connections_cost_memory_only(self):
        count = min(SILENT, raise_descriptor_limit() - 100)

        def abuse(server):
            before = server.memory()
            silent = [server.connect() for _ in range(count)]
            with server.connect() as client:
                self.exchange(client)
                memory = (server.memory() - before) / count
                waits, cpu, slowest = server.tally().waits, server.cpu_seconds(), 0
                for _ in range(EXCHANGES):
                    begin = time.monotonic()
                    self.exchange(client)
                    slowest = max(slowest, time.monotonic() - begin)  # not checked: it depends on how busy the machine is
                cpu = (server.cpu_seconds() - cpu) / EXCHANGES
                # An exchange is one turn for the bytes, and a second one if a wait came too early.
                self.assertLessEqual(server.tally().waits - waits, 2 * EXCHANGES)
            for each in silent:
                each.close()
            self.assertLess(memory, 512)
            self.assertLess(cpu, 0.01)
            self.report(f"{count} silent connections: {memory:.0f} bytes each; an exchange beside them"
                        f" costs {1e6 * cpu:.0f} us of CPU, and took {1e3 * slowest:.1f} ms at most")

        self.over_backends(abuse)

    def test_a_flood_of_connects_and_resets(self):
        def abuse(server):
            cpu, begin = server.cpu_seconds(), time.monotonic()
            for number in range(FLOOD):
                client = server.connect()
                if number % 2:
                    client.send(b"never to be read")
                reset(client)
            with server.connect() as client:
                self.exchange(client)
            took = time.monotonic() - begin
            self.report(f"{FLOOD} connects and resets: {1e6 * (server.cpu_seconds() - cpu) / FLOOD:.0f}"
                        f" us of CPU each, {FLOOD / took:.0f} a second")

        self.over_backends(abuse)

    def test_peers_that_half_close_at_once(self):
        def abuse(server):
            for _ in range(FLOOD):
                with server.connect() as client:
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(client.recv(1), b"")

        self.over_backends(abuse)

    def test_urgent_bytes_are_left_out_and_nothing_else_is(self):
        def abuse(server):
            clients = [server.connect() for _ in range(20)]
            for _ in range(50):
                for client in clients:
                    client.send(b"before")
                    client.send(b"!", socket.MSG_OOB)
                    client.send(b"behind")
                for client in clients:
                    self.assertEqual(read_exactly(client, 12), b"beforebehind")
            for client in clients:
                client.close()

        self.over_backends(abuse)

    def test_out_of_descriptors_every_caller_is_served_or_parted_with(self):
        room, more = 10, 8

        def abuse(server):
            server.limit_descriptors(room)
            begin, waits = time.monotonic(), server.tally().waits
            with selectors.DefaultSelector() as waiting:
                clients = [server.connect() for _ in range(room + more)]
                for client in clients:
                    with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # the server has closed it already
                        client.send(b"let me in")
                    waiting.register(client, selectors.EVENT_READ)
                served = self.fates(waiting)
            took = time.monotonic() - begin
            waits = server.tally().waits - waits
            # The server turns away one caller each tenth of a second.
            self.assertLess(waits, 3 * len(clients) + 30 * took)
            for client in clients:
                client.close()
            self.assertEqual(len(served), room)
            self.report(f"out of descriptors: {room} callers were served and {more} parted with in"
                        f" {took:.1f} s and {waits} turns")

        self.over_backends(abuse)

    def fates(self, waiting):
        """Waits until each client has an answer or its end, and returns those that have an answer."""
        served = []
        end = time.monotonic() + PATIENCE
        while waiting.get_map() and time.monotonic() < end:
            for key, _ in waiting.select(0.1):
                waiting.unregister(key.fileobj)
                try:
                    if read_exactly(key.fileobj, 9):
                        served.append(key.fileobj)
                except ConnectionResetError:
                    pass  # what it sent was not read
        self.assertEqual(len(waiting.get_map()), 0, "some wait in vain")
        return served


if __name__ == "__main__":
    unittest.main()
