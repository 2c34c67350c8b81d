"""python -m sluiceio echo, from outside."""

import contextlib
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"
NUMBERS = itertools.count()
ECHO = [sys.executable, "-W", "error", "-m", "sluiceio", "echo"]
GRACE_S = 1  # how long queued bytes are waited for after a signal


class Main(unittest.TestCase):
    def start(self):
        """A server, and a client of it that has had an answer."""
        address = f"unix:@sluice-main-{os.getpid()}-{next(NUMBERS)}"
        server = subprocess.Popen([*ECHO, address], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for end in (server.stdout.close, server.stderr.close, server.wait, server.kill):
            self.addCleanup(end)
        self.assertEqual(server.stdout.readline(), f"listening on {address}\n")
        return server, self.client(address)

    def client(self, address):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(20)
        client.connect(address.removeprefix("unix:").replace("@", "\0"))
        client.sendall(b"hello")
        self.assertEqual(client.recv(100), b"hello")
        return client

    def ends_quietly(self, server):
        self.assertEqual(server.wait(20), 0)
        self.assertEqual(server.stderr.read(), "")

    def queue_something(self, client):
        """Sends, and does not read, until the server reads no more from this client. It is known to run,
        because it answers another client meanwhile. So it has stopped reading because its answers wait."""
        other = self.client(f"unix:{client.getpeername().decode()}".replace("\0", "@"))
        client.settimeout(0)
        answers = 0
        while answers < 100:
            try:
                client.send(bytes(1 << 16))
                answers = 0
            except BlockingIOError:
                other.sendall(b"x")
                answers += len(other.recv(1))
        other.close()

    def test_a_signal_ends_it_at_once_though_a_client_stays(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server, client = self.start()
            server.send_signal(number)
            self.ends_quietly(server)
            self.assertEqual(client.recv(100), b"")

    def test_what_is_queued_is_waited_for_a_second_only(self):
        server, client = self.start()
        self.queue_something(client)
        begin = time.monotonic()
        server.send_signal(signal.SIGINT)
        self.ends_quietly(server)
        self.assertGreater(time.monotonic() - begin, 0.9 * GRACE_S)

    def test_a_second_signal_ends_it_though_something_is_queued(self):
        took = []
        while not took or min(took) >= GRACE_S and len(took) < 5:  # on a busy machine one try may take longer
            server, client = self.start()
            self.queue_something(client)
            begin = time.monotonic()
            # The kernel could merge two signals of one kind.
            server.send_signal(signal.SIGINT)
            server.send_signal(signal.SIGTERM)
            self.ends_quietly(server)
            took.append(time.monotonic() - begin)
        self.assertLess(min(took), GRACE_S)

    def test_an_interrupt_at_any_moment_says_nothing(self):
        """Also while the program ends."""
        for _ in range(5):
            server, _ = self.start()
            for _ in range(20):
                server.send_signal(signal.SIGINT)
            self.ends_quietly(server)

    def test_it_echoes_and_ends_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with subprocess.Popen([*ECHO, "127.0.0.1:0"], text=True, stdout=subprocess.PIPE) as server:
                self.addCleanup(server.kill)
                host, port = server.stdout.readline().split()[-1].split(":")
                with socket.create_connection((host, int(port)), timeout=20) as client:
                    client.sendall(b"hello")
                    self.assertEqual(client.recv(100), b"hello")
                    server.send_signal(number)
                    self.assertEqual(client.recv(100), b"")
                self.assertEqual(server.wait(20), 0)

    def test_the_server_of_the_readme_ends_quietly_though_a_client_stays(self):
        program = next(part.removeprefix("python") for part in README.read_text().split("```")
                       if "start_server" in part)
        # This socket keeps the port, so that nobody else gets it. Both set SO_REUSEADDR, so the server can listen there.
        taken = self.enterContext(socket.socket())
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        address = taken.getsockname()
        server = subprocess.Popen([sys.executable, "-W", "error", "-c",
                                   program.replace("9999", str(address[1]))],
                                  text=True, stderr=subprocess.PIPE)
        for end in (server.stderr.close, server.wait, server.kill):
            self.addCleanup(end)
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                client = socket.create_connection(address, timeout=20)
                break
            self.assertIsNone(server.poll())
            time.sleep(0.01)
        self.addCleanup(client.close)
        client.sendall(b"hello")
        self.assertEqual(client.recv(100), b"hello")
        server.send_signal(signal.SIGINT)
        self.ends_quietly(server)
        self.assertEqual(client.recv(100), b"")

    def test_what_is_wrong_is_told_in_a_line(self):
        for arguments, code, words in (
            (["echo", "no address"], 1, "sluiceio: "),
            (["eco"], 2, "usage: python -m sluiceio "),
            ([], 2, "usage: python -m sluiceio "),
            (["echo", "--port"], 2, "usage: python -m sluiceio "),
            (["echo", "127.0.0.1:0", "127.0.0.1:0"], 2, "usage: python -m sluiceio "),
        ):
            told = self.told(*arguments)
            self.assertEqual((told.returncode, told.stdout), (code, ""))
            self.assertTrue(told.stderr.startswith(words), told.stderr)
            self.assertNotIn("Traceback", told.stderr)

    def test_help_says_what_there_is(self):
        for arguments, words in ((["--help"], "echo"), (["echo", "--help"], "127.0.0.1:9999"),
                                 (["echo", "-h"], "Ctrl-C")):
            told = self.told(*arguments)
            self.assertEqual((told.returncode, told.stderr), (0, ""))
            self.assertTrue(told.stdout.startswith("usage: python -m sluiceio "), told.stdout)
            self.assertIn(words, told.stdout)

    def told(self, *arguments):
        return subprocess.run([sys.executable, "-m", "sluiceio", *arguments], text=True,
                              capture_output=True, timeout=20, check=False)


if __name__ == "__main__":
    unittest.main()
