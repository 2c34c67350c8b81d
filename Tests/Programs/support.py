"""What the tests of the programs share: starting them, talking to them, looking at them.

SLUICE_BIN names the folder of the built programs. SLUICE_SEED repeats a run's random choices.
"""

import itertools
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from sockets import PATIENCE, connect, read_all

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = (ROOT / os.environ.get("SLUICE_BIN", "Programs/.build/debug")).resolve()
SEED = int(os.environ.get("SLUICE_SEED") or random.SystemRandom().randrange(1 << 32))
SYSTEM_CALLS = ("select", "poll", "epoll")
BACKENDS = (*SYSTEM_CALLS, "libevent:epoll")
LONGEST_TEST = 4 * PATIENCE
PATIENCE_OF_A_STOP = 5  # seconds: so long sluice-echo waits after a signal until clients have read their answers

# The programs that tests start choose their backend by flag, unless a test says otherwise.
os.environ.pop("SLUICE_BACKEND", None)


def over(**choices):
    """Makes one test for each combination: over(backend=BACKENDS) gives test_x_select, …"""

    def mark(method):
        method.choices = choices
        return method

    return mark


class ProgramTest(unittest.TestCase):
    """A test that ends in bounded time, with random choices that can be repeated."""

    def __init_subclass__(cls):
        for name, method in list(vars(cls).items()):
            if choices := getattr(method, "choices", None):
                delattr(cls, name)
                for combination in itertools.product(*choices.values()):
                    arguments = dict(zip(choices, combination))
                    test_name = "_".join([name, *combination]).replace("-", "_").replace(":", "_")
                    setattr(cls, test_name, with_arguments(method, arguments))

    def setUp(self):
        self.random = random.Random(f"{SEED} {self.id()}")
        signal.signal(signal.SIGALRM, out_of_time)
        signal.alarm(LONGEST_TEST)
        self.addCleanup(signal.alarm, 0)

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"{self.id()}: repeat with SLUICE_SEED={SEED}", file=sys.stderr)
        return result

    def assert_refused(self, completed, *words):
        """One line that says why, maybe a usage hint after it, and a non-zero exit."""
        error = completed.stderr.decode()
        self.assertGreater(completed.returncode, 0, f"killed by a signal, or content: {error}")
        self.assertRegex(error, r"\A(Error|sluice-echo): .+\n")
        first, *rest = error.splitlines()
        for word in words:
            self.assertIn(word, first)
        for line in rest:
            self.assertRegex(line, r"^(Help: |Usage: |  |$)", f"more than one line: {error}")

    def assert_takes_less(self, limit, attempt):
        """Checks that `attempt()` returns less than `limit` seconds. On a busy machine one attempt may take
        longer, so there are four. What is slow by itself is slow each time."""
        took = []
        while len(took) < 4:
            took.append(attempt())
            if took[-1] < limit:
                return
        self.fail(f"it took {took} seconds")

    def assert_echoes(self, server, data=b"are you there?"):
        with server.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(client), data)


def with_arguments(method, arguments):
    def test(self):
        method(self, **arguments)

    test.__doc__ = method.__doc__
    return test


def out_of_time(signal_number, frame):
    raise TimeoutError(f"the test took more than {LONGEST_TEST} seconds")


def wait_until(condition, what):
    """Waits until `condition()` is true, and returns its value."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {PATIENCE} seconds in vain: {what}")
        time.sleep(0.005)
    return value


# Options for every command of sluice-echo: see test_echo_async.py.
way = []


def program(name, *arguments):
    if arguments and arguments[0] in ("serve", "client", "load"):
        arguments = (arguments[0], *way, *arguments[1:])
    return [str(PROGRAMS / name), *map(str, arguments)]


def run(name, *arguments, **options):
    """Runs a program to its end."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        program(name, *arguments), stderr=subprocess.PIPE, timeout=PATIENCE, **options)


class Program:
    """A program that runs until the `with` block ends. Its output goes to temporary files."""

    def __init__(self, name, *arguments, **options):
        self.command = program(name, *arguments)
        self.options = options

    def __enter__(self):
        self.output_file = tempfile.TemporaryFile()
        self.error_file = tempfile.TemporaryFile()
        options = {"stdin": subprocess.DEVNULL, "stdout": self.output_file,
                   "stderr": self.error_file} | self.options
        self.process = subprocess.Popen(self.command, **options)
        self.pid = self.process.pid
        try:
            self.started()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def started(self):
        pass

    def __exit__(self, kind, error, traceback):
        ended = self.process.poll()
        self.process.kill()
        self.process.wait()
        with self.output_file, self.error_file:
            if error is not None:
                said = self.errors()[-600:]
                error.add_note(f"{self.command} ended with {ended} and said: {said}")
                error.add_note(f"its last output: {self.output()[-300:]}")
            elif ended is not None and ended < 0:
                raise AssertionError(
                    f"{self.command} was killed by signal {-ended}: {self.errors()}")

    def output(self):
        return read_file(self.output_file).decode()

    def errors(self):
        return read_file(self.error_file).decode()

    def wait(self):
        """Waits until it ends by itself, and returns its exit code."""
        return self.process.wait(PATIENCE)

    def descriptors(self):
        """{number: what it names}. A descriptor that closes meanwhile is left out."""
        found = {}
        for entry in os.scandir(f"/proc/{self.pid}/fd"):
            try:
                found[int(entry.name)] = os.readlink(entry.path)
            except FileNotFoundError:
                pass
        return found

    def sockets(self):
        return sorted(number for number, kind in self.descriptors().items()
                      if kind.startswith("socket:"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_share(self):
        """How much of a processor it uses: 1 if it spins."""
        before = self.cpu_seconds()
        time.sleep(0.3)
        return (self.cpu_seconds() - before) / 0.3

    def peak_memory(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


class Server(Program):
    """A server at a free port, or at `address`. Afterwards `address` is where it listens.

    If we do not see its output, it cannot say where. Then `address` stays as it is, once it listens.
    """

    def __init__(self, name, *arguments, address="127.0.0.1:0", **options):
        where = ["serve", "--listen"] if name == "sluice-echo" else ["--address"]
        super().__init__(name, *where, address, *arguments, **options)
        self.address = address
        self.says_where = "--quiet" not in arguments and "stdout" not in options

    def started(self):
        if not self.says_where:
            wait_until(self.listens, "the server listens")
            return
        line = wait_until(self.first_line, "the server says where it listens")
        self.address = re.match(r"listening on:? (\S+)", line)[1]

    def first_line(self):
        if self.process.poll() is not None:
            raise AssertionError("the server has ended")
        line, end, _ = self.output().partition("\n")
        return line if end else None

    def listens(self):
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return False
        return True

    def connect(self):
        return connect(self.address)

    def send_signal(self, number):
        self.process.send_signal(number)

    def halt(self):
        """Stops it where it is, until SIGCONT."""
        self.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it halts")

    def summary(self):
        """Waits for the end of sluice-echo, and returns what it says that it served.

        That is connections, bytes, connections that were lost, and bytes that were not sent. With --async,
        nobody knows the last number.
        """
        code = self.wait()
        last = self.output().splitlines()[-1]
        found = re.fullmatch(r"served (\d+) connections? and (\d+) bytes?;"
                             r" (\d+) connections? lost(?: with (\d+) bytes? not sent)?", last)
        if code != 0 or not found:
            raise AssertionError(f"exit {code}, and at the end: {last}")
        return tuple(map(int, found.groups("0")))

    def interrupt(self, number=signal.SIGINT):
        self.send_signal(number)
        return self.summary()

    def wait_for_rest(self):
        """Waits until all clients are let go: the listener is the only socket left.

        Pollers and the like are not counted one by one, because the article's servers make a poller
        for each turn. But many of them would be a leak.
        """
        wait_until(lambda: len(self.sockets()) == 1 and len(self.descriptors()) < 20,
                   f"from {len(self.descriptors())} descriptors back to those of the start")

    def limit_descriptors(self, room):
        """Leaves it room for so many more descriptors."""
        numbers = self.descriptors()
        free = (number for number in itertools.count() if number not in numbers)
        limit = list(itertools.islice(free, room + 1))[-1]
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (limit, limit))


def read_file(file):
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
