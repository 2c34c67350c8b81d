"""python -m sluiceio echo, from outside."""

import signal
import socket
import subprocess
import sys
import unittest


class Main(unittest.TestCase):
    def test_it_echoes_and_ends_in_order(self):
        command = [sys.executable, "-W", "error", "-m", "sluiceio", "echo", "127.0.0.1:0"]
        for number in (signal.SIGTERM, signal.SIGINT):
            with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as server:
                self.addCleanup(server.kill)
                host, port = server.stdout.readline().split()[-1].split(":")
                with socket.create_connection((host, int(port)), timeout=20) as client:
                    client.sendall(b"hello")
                    self.assertEqual(client.recv(100), b"hello")
                    server.send_signal(number)
                    self.assertEqual(client.recv(100), b"")
                self.assertEqual(server.wait(20), 0)

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
