"""What the tests of Examples/swift share: they build the examples as a reader would, run them, and talk to
them with the clients that everybody has."""

import functools
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "Examples/swift"
sys.path.append(str(ROOT / "Tests/Programs"))

from sockets import PATIENCE, connect  # noqa: E402
from support import Program, ProgramTest, read_file, wait_until  # noqa: E402

MEGABYTE = 1 << 20


@functools.cache
def build():
    """Builds all of them, once."""
    result = subprocess.run(
        ["swift", "build", "--package-path", str(EXAMPLES)], text=True, timeout=900,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode != 0:
        raise AssertionError(f"the examples do not build:\n{result.stdout}")


class ExampleTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        build()

    def folder(self):
        """A folder of the test's own."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)

    def start(self, name, *arguments, **options):
        """A server, until the test ends. One of its threads does all the work."""
        program = self.enterContext(Example(name, *arguments, **options))
        self.addCleanup(self.check_threads, program, program.thread_seconds())
        return program

    def check_threads(self, program, before):
        seconds = {thread: now - before.get(thread, 0)
                   for thread, now in program.thread_seconds().items()}
        busiest = max(seconds.values())
        self.assertLessEqual(sum(seconds.values()) - busiest, 0.02 + busiest / 20, seconds)


class Example(Program):
    """One of the examples. A server first says where it listens: `address` and `port` have this."""

    def __init__(self, name, *arguments, is_server=True, **options):
        super().__init__(name, **options)
        # Its lines must appear at once, although they do not go to a terminal.
        self.command = ["stdbuf", "-oL", EXAMPLES / ".build/debug" / name, *map(str, arguments)]
        self.is_server = is_server

    def started(self):
        if self.is_server:
            line = wait_until(self.first_line, "it says where it listens")
            self.address = line.split()[2].rstrip(",")
            self.port = self.address.rpartition(":")[2]

    def first_line(self):
        if self.process.poll() is not None:
            raise AssertionError("it has ended")
        line, end, _ = self.output().partition("\n")
        return line if end else None

    def wait_for(self, words):
        wait_until(lambda: words in self.output(), f"it says: {words}")

    def thread_seconds(self):
        """The CPU time of each of its threads. A tick of stat(5) is counted for whichever thread runs then."""
        found = {}
        for thread in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                found[thread.name] = int((thread / "schedstat").read_text().split()[0]) / 1e9
            except (FileNotFoundError, ProcessLookupError):  # it has ended
                pass
        return found


class Netcat:
    """nc: a test tells it what to send, and looks at its output."""

    def __init__(self, test, *arguments):
        self.file = test.enterContext(tempfile.TemporaryFile())
        self.process = subprocess.Popen(
            ["nc", *arguments], stdin=subprocess.PIPE, stdout=self.file, bufsize=0)
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)
        test.addCleanup(self.process.stdin.close)

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def output(self):
        return read_file(self.file).decode()

    def wait_for(self, words):
        wait_until(lambda: words in self.output(), f"nc receives {words!r}")

    def end(self):
        """Ends its output, and waits until the other side has ended, too."""
        self.process.stdin.close()
        return self.process.wait(PATIENCE)


def run(*command, **options):
    """Runs a client to its end, and returns its output."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 3 * PATIENCE} | options
    result = subprocess.run([str(part) for part in command], **options)
    if result.returncode != 0:
        raise AssertionError(f"{command} ended with {result.returncode}: {result}"[:1000])
    return result.stdout
