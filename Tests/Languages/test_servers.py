"""The echo server of each language, from outside: many connections, all bytes, an orderly end."""

import concurrent.futures
import fcntl
import os
import random
import re
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time
import unittest

from languages import environment, for_each_language
from sockets import PATIENCE, connect, exchange, read_all, read_exactly, reset, unix_address

CONNECTIONS = 500
SEED = int(os.environ.get("SLUICE_SEED") or random.SystemRandom().randrange(1 << 32))


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE} seconds in vain: {what}")
        time.sleep(0.005)
    return value


class Server:
    """A language's server, at a port that the kernel chooses, until the `with` block ends."""

    def __init__(self, language, address="127.0.0.1:0", **variables):
        self.command = [*language.command("server"), address]
        self.environment = environment() | variables

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.command, env=self.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.errors)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            error = AssertionError(f"{self.command} said {line!r} and not where it listens")
            self.__exit__(type(error), error)
            raise error
        self.address = line.split()[-1]
        return self

    def __exit__(self, kind, error, traceback=None):
        self.process.kill()
        self.process.wait()
        if error is not None:
            error.add_note(f"{self.command} said: {self.said()}")
        self.process.stdout.close()
        self.errors.close()

    def connect(self):
        return connect(self.address)

    def descriptors(self):
        """What each descriptor names. One that closes meanwhile is left out."""
        found = {}
        for entry in os.scandir(f"/proc/{self.process.pid}/fd"):
            try:
                found[int(entry.name)] = os.readlink(entry.path)
            except FileNotFoundError:
                pass
        return found

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def ended(self):
        """Its exit code, and its standard error."""
        return self.process.wait(PATIENCE), self.said()

    def said(self):
        return os.pread(self.errors.fileno(), 1 << 16, 0).decode()


def asked(client, request):
    """The number that ioctl(2) gives. TIOCOUTQ is how much the peer of a unix socket has not read.
    FIONREAD is how much has come and was not read."""
    return struct.unpack("i", fcntl.ioctl(client, request, bytes(4)))[0]


@for_each_language
class ServerTest(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(f"{SEED} {self.id()}")

    def clients(self, server, count):
        clients = [server.connect() for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
        return clients

    def assert_ends(self, server):
        self.assertEqual(server.ended(), (0, ""))

    def test_a_trace_shows_each_event(self, language):
        with Server(language, SLUICE_TRACE="events") as server:
            with server.connect() as client:
                exchange(client, b"hello")
            server.terminate()
            code, said = server.ended()
        self.assertEqual(code, 0)
        events = re.findall(r"^sluice\[\d+\]: ((?!NONE)[A-Z]+ .*)$", said, re.MULTILINE)
        kinds = [event.split()[0] for event in events]
        self.assertEqual(kinds[:2], ["ACCEPTED", "DATA"])
        self.assertRegex(events[1], r"^DATA \d+/\d+ user \d+ length 5 value \d+ error 0$")
        self.assertEqual(kinds.count("CLOSED"), 1)

    def test_500_connections_at_once_get_their_bytes_and_leak_no_descriptor(self, language):
        with Server(language) as server:
            with server.connect() as first:
                exchange(first, b"what is made once, is made now")
            wait_until(lambda: len(self.sockets(server)) == 1, "the first connection is closed")
            before = server.descriptors()
            clients = self.clients(server, CONNECTIONS)
            sent = [self.random.randbytes(self.random.randrange(1, 1 << 14)) for _ in clients]
            for client, data in zip(clients, sent):
                client.sendall(data)
            for client, data in zip(clients, sent):
                self.assertEqual(read_exactly(client, len(data)), data, f"SLUICE_SEED={SEED}")
            self.assertEqual(len(self.sockets(server)), CONNECTIONS + 1)
            for client in clients:
                client.shutdown(socket.SHUT_WR)
            for client in clients:
                self.assertEqual(read_all(client), b"")
                client.close()
            wait_until(lambda: server.descriptors() == before, "all descriptors are closed")
            server.terminate()
            self.assert_ends(server)

    def test_a_stream_of_bytes_comes_back_whole(self, language):
        with Server(language) as server, concurrent.futures.ThreadPoolExecutor() as pool:
            [client] = self.clients(server, 1)
            data = self.random.randbytes(8 << 20)
            sending = pool.submit(client.sendall, data)
            self.assertEqual(read_exactly(client, len(data)), data, f"SLUICE_SEED={SEED}")
            sending.result()

    def test_sigterm_sends_what_is_queued_and_then_ends(self, language):
        # A unix socket is used because the kernel holds little for one whose peer does not read.
        with Server(language, unix_address()) as server:
            [client] = self.clients(server, 1)
            data = self.random.randbytes(900_000)  # under the high mark: the server reads it all
            client.sendall(data)
            wait_until(lambda: asked(client, termios.TIOCOUTQ) == 0, "the server has read it")
            self.assertLess(asked(client, termios.FIONREAD), len(data) // 2, "nothing is queued")
            idle = self.clients(server, 20)
            for other in idle:
                exchange(other, b"are you there?")
            server.terminate()
            for other in idle:
                self.assertEqual(read_all(other), b"")
                other.close()
            with self.assertRaises(ConnectionRefusedError):
                server.connect()
            self.assertIsNone(server.process.poll(), "it ended before it had sent all")
            self.assertEqual(read_all(client), data, f"SLUICE_SEED={SEED}")
            client.close()
            self.assert_ends(server)

    def test_peers_that_reset_their_connections_do_no_harm(self, language):
        with Server(language) as server:
            [witness] = self.clients(server, 1)
            for _ in range(200):
                client = server.connect()
                client.sendall(b"x" * 5000)
                reset(client)
            exchange(witness, b"still there")
            server.terminate()
            witness.close()
            self.assert_ends(server)

    def test_an_address_in_use_is_told_in_a_line(self, language):
        with Server(language) as server:
            result = subprocess.run(
                [*language.command("server"), server.address], env=environment(), text=True,
                capture_output=True, timeout=PATIENCE, check=False)
            self.assertEqual(result.stdout, "")
            self.assertGreater(result.returncode, 0)
            self.assertRegex(result.stderr.splitlines()[-1], re.compile("address.*in use", re.I))

    def sockets(self, server):
        return [each for each in server.descriptors().values() if each.startswith("socket:")]


if __name__ == "__main__":
    unittest.main()
