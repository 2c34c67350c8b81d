"""What the tests of the adapters share: a program of Examples/c that is built against an installed
library, and a server for the other library, on the loopback, in a folder of its own.
"""

import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Tests/Languages"))

from languages import BUILD, EXAMPLES, environment, install, run  # noqa: E402

PATIENCE = 60


def build(source, package):
    """The program from that source, which also uses that pkg-config package."""
    install()
    target = BUILD / "adapters" / pathlib.Path(source).stem
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = run(["pkg-config", "--cflags", "--libs", "sluice", package]).split()
    run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow",
         "-Werror", "-O2", EXAMPLES / "c" / source, "-o", target, *flags])
    return target


def run_program(*command):
    return subprocess.run(
        [str(part) for part in command], env=environment(), text=True, timeout=PATIENCE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Server:
    """A server in a folder of its own, until the `with` block ends. `command(folder, port)` is what
    to run. If somebody else has taken the port meanwhile, it is tried with another."""

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        for _ in range(5):
            self.port = free_port()
            self.log = tempfile.TemporaryFile()
            self.process = subprocess.Popen(
                self.command(pathlib.Path(self.folder.name), self.port),
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
            if self.begins():
                return self
            self.stop()
        raise AssertionError(f"{self.command.__name__} does not begin: {self.said}")

    def begins(self):
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            if answers(self.port):
                return True
            time.sleep(0.01)
        return False

    def stop(self):
        """Ends only this server, by its id."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.seek(0)
        self.said = self.log.read().decode(errors="replace")
        self.log.close()

    def __exit__(self, *unused):
        self.stop()
        self.folder.cleanup()
