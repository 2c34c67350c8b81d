"""python -m sluiceio echo, from outside."""

import contextlib
import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"
ECHO = [sys.executable, "-W", "error", "-m", "sluiceio", "echo", "127.0.0.1:0"]


class Main(unittest.TestCase):
    def start(self):
        """A server, and a client of it that has had an answer."""
        server = subprocess.Popen(ECHO, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for end in (server.stdout.close, server.stderr.close, server.wait, server.kill):
            self.addCleanup(end)
        host, port = server.stdout.readline().split()[-1].split(":")
        client = socket.create_connection((host, int(port)), timeout=20)
        self.addCleanup(client.close)
        client.sendall(b"hello")
        self.assertEqual(client.recv(100), b"hello")
        return server, client

    def ends_quietly(self, server, within):
        begin = time.monotonic()
        self.assertEqual(server.wait(20), 0)
        self.assertLess(time.monotonic() - begin, within)
        self.assertEqual(server.stderr.read(), "")

    def fill(self, client):
        """Sends without reading until nothing goes any more."""
        client.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            while True:
                client.send(bytes(1 << 20))
        client.settimeout(20)

    def test_a_signal_ends_it_at_once_though_a_client_stays(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server, client = self.start()
            server.send_signal(number)
            self.ends_quietly(server, 3)
            self.assertEqual(client.recv(100), b"")

    def test_what_is_queued_is_waited_for_a_second_only(self):
        server, client = self.start()
        self.fill(client)
        server.send_signal(signal.SIGINT)
        with self.assertRaises(subprocess.TimeoutExpired):
            server.wait(0.5)
        self.ends_quietly(server, 4)

    def test_a_second_signal_ends_it_though_something_is_queued(self):
        server, client = self.start()
        self.fill(client)
        server.send_signal(signal.SIGINT)
        with self.assertRaises(subprocess.TimeoutExpired):
            server.wait(0.1)
        server.send_signal(signal.SIGINT)
        self.ends_quietly(server, 0.7)

    def test_an_interrupt_at_any_moment_says_nothing(self):
        """Also before the loop has the signal, and while it ends."""
        for _ in range(5):
            server, _ = self.start()
            for _ in range(20):
                server.send_signal(signal.SIGINT)
            server.wait(20)
            self.assertNotIn("Traceback", server.stderr.read())

    def test_it_echoes_and_ends_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with subprocess.Popen(ECHO, text=True, stdout=subprocess.PIPE) as server:
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
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = free.getsockname()
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
        self.ends_quietly(server, 3)
        self.assertEqual(client.recv(100), b"")

    def test_what_is_wrong_is_told_in_a_line(self):
        for arguments, code, words in (
            (["echo", "no address"], 1, "sluiceio: "),
            (["eco"], 2, "python -m sluiceio echo"),
            ([], 2, "python -m sluiceio echo"),
        ):
            told = subprocess.run([sys.executable, "-m", "sluiceio", *arguments], text=True,
                                  capture_output=True, timeout=20, check=False)
            self.assertEqual((told.returncode, told.stdout), (code, ""))
            self.assertTrue(told.stderr.startswith(words), told.stderr)
            self.assertNotIn("Traceback", told.stderr)


if __name__ == "__main__":
    unittest.main()
