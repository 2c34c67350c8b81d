"""Programs under the interposer (plan.h), and what it has done to them.

A run prints its seed, and SLUICE_SEED repeats it. The choices of the program and of the clients follow
from the seed. The timing does not, so a failure may need some more runs to come again.
"""

import os
import random
import re
import resource
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("SLUICE_BUILD", "build")
INTERPOSER = BUILD / "faults.so"
PROGRAMS = ROOT / os.environ.get("SLUICE_BIN", "Programs/.build/debug")
BACKENDS = ("select", "poll", "epoll")
LIBEVENT = ("libevent:select", "libevent:poll", "libevent:epoll")
SEED = int(os.environ.get("SLUICE_SEED") or random.SystemRandom().randrange(1 << 32))
PATIENCE = 30  # after so many seconds, something that has not happened is a failure, also on a busy machine

SERVERS = {
    "c": [BUILD / "echo-server", "127.0.0.1:0"],
    "swift": [PROGRAMS / "sluice-echo", "serve", "--listen", "127.0.0.1:0"],
    "async": [PROGRAMS / "sluice-echo", "serve", "--async", "--listen", "127.0.0.1:0"],
}

# In the order of enum fault.
KINDS = ("eintr", "eagain", "short", "reset", "accept", "exhausted", "watch", "clock", "delay")
# After these faults nothing may be missing. Each of the others may end one connection.
PASSING = ("eintr", "eagain", "short", "accept", "clock", "delay")
COSTLY = ("reset", "exhausted", "watch")


class Tally:
    """The present counts of the interposer, which keeps them in a file: struct tally of plan.h."""

    def __init__(self, path):
        with open(path, "rb") as file:
            numbers = struct.unpack(f"{len(KINDS) + 4}Q", file.read())
        self.faults = dict(zip(KINDS, numbers))
        self.calls, self.waits, self.idle, self.spins = numbers[len(KINDS):]

    def total(self, kinds=KINDS):
        return sum(self.faults[kind] for kind in kinds)


def environment(seed, rate, kinds, tally, **others):
    return os.environ | {
        "LD_PRELOAD": str(INTERPOSER), "FAULTS_SEED": str(seed), "FAULTS_RATE": str(rate),
        "FAULTS_KINDS": ",".join(kinds), "FAULTS_TALLY": tally} | others


def is_no_timer(descriptor):
    try:
        return os.readlink(descriptor) != "anon_inode:[timerfd]"
    except FileNotFoundError:  # closed meanwhile
        return False


class Server:
    """A server behind the interposer that runs until the `with` block ends. Without kinds of faults,
    the interposer only watches it."""

    def __init__(self, command, backend, seed=1, rate=100, kinds=()):
        self.command = command
        self.directory = tempfile.TemporaryDirectory()
        self.tally_path = os.path.join(self.directory.name, "tally")
        # The backends of libevent have variables of their own.
        others = {"SLUICE_BACKEND": backend} | {
            f"EVENT_NO{other.upper()}": "1" for other in BACKENDS if other != backend}
        if "--async" in command:  # its loop has a thread, which waits before it listens
            others["FAULTS_START"] = "accept"
        self.environment = environment(seed, rate, kinds, self.tally_path, **others)

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not found:
            self.__exit__()
            raise AssertionError(f"{self.command} does not say where it listens: {line}")
        self.address = "127.0.0.1", int(found[1])
        self.descriptors_before = self.descriptors()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.directory.cleanup()

    def tally(self):
        return Tally(self.tally_path)

    def connect(self):
        client = socket.create_connection(self.address, PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def runs(self):
        return self.process.poll() is None

    def descriptors(self):
        """How many it has, except timers: libdispatch, below Swift's tasks, makes one at some time."""
        return sum(map(is_no_timer, Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def memory(self):
        """Resident, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def cpu_seconds(self):
        times = Path(f"/proc/{self.process.pid}/schedstat").read_text().split()
        return int(times[0]) / 1e9

    def limit_descriptors(self, room):
        """Leaves it room for so many more descriptors."""
        held = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (held + room,) * 2)

    def leaked(self):
        """How many more descriptors than before it has, after it has had time to close them."""
        end = time.monotonic() + PATIENCE
        while self.runs():
            leaked = self.descriptors() - self.descriptors_before
            if leaked <= 0 or time.monotonic() > end:
                return max(0, leaked)
            time.sleep(0.005)
        return 0

    def end(self):
        """Asks it to end, and returns its exit code, which is negative if a signal has ended it."""
        self.process.terminate()
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} does not end") from None
        return self.process.returncode
