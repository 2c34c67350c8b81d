"""Servers and the load generator, as processes: started, pinned, asked what they used, and ended."""

import os
import pathlib
import resource
import select
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
PATIENCE_S = 120


def most_descriptors(wanted):
    """How many descriptors a process may have: `wanted`, if the limit can be raised to that."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (OSError, ValueError):
            return most
    return max(most, wanted)


def pin(cpu):
    """What a child runs before its program. It stays on a core, or on a set of cores, and takes as many
    descriptors as it may."""

    def prepare():
        if cpu is not None:
            os.sched_setaffinity(0, cpu if isinstance(cpu, set) else {cpu})
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    return prepare


def read_line(process):
    """The next line that a process prints. It is empty if the process ended, or was silent for too long."""
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    return process.stdout.readline().strip() if ready else ""


class Server:
    """An echo server that prints its address and runs until SIGTERM. It may run under another program.

    `under` is that program and its arguments. What it writes to standard error is in `report` at
    the end. `address` is where the server is to listen.
    """

    def __init__(self, command, under=(), cpu=None, address="127.0.0.1:0"):
        self.wanted_address = address
        self.command = [str(word) for word in command]
        self.under = [str(word) for word in under]
        self.cpu = cpu
        self.report = ""

    def __enter__(self):
        self.process = subprocess.Popen(
            self.under + [self.command[0], self.wanted_address] + self.command[1:],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pin(self.cpu),
        )
        self.address = read_line(self.process)
        if not self.address:
            self.process.kill()
            _, error = self.process.communicate()
            raise RuntimeError(f"{self.command[0]} did not start: {error.strip()}")
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGTERM)
        try:
            _, self.report = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    @property
    def pid(self):
        """The process id of the server itself, not of a tracer that started it."""
        if self.under and self.under[0] == "strace":
            path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
            return int(pathlib.Path(path).read_text().split()[0])
        return self.process.pid

    def cpu_ns(self):
        """CPU time of all its threads, from the scheduler. It is exact while the server sleeps."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def resident_bytes(self):
        """The pages that it holds, counted one by one, because the sums in /proc/PID/statm lag behind."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").open():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no Rss in smaps_rollup")


class Load:
    """loads/load.c, connected to a server and ready."""

    def __init__(self, server, kind, connections, size=64, depth=1, cpu=None, busy=0):
        words = [BUILD / "load", kind, server.address, connections, size, depth]
        words += [busy] if busy else []
        self.command = [str(word) for word in words]
        self.cpu = cpu

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=pin(self.cpu),
        )
        self._expect("ready")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE_S)

    def run(self, operations):
        """Does this many operations. Returns the seconds they took, and the load's own CPU time."""
        self.begin(operations)
        return self.finish()

    def begin(self, operations):
        self.process.stdin.write(f"{operations}\n")
        self.process.stdin.flush()

    def finish(self):
        _, seconds, used = self._expect("done")
        return float(seconds), float(used)

    def _expect(self, word):
        words = read_line(self.process).split()
        if not words or words[0] != word:
            raise RuntimeError(f"the load generator failed: {' '.join(self.command)}")
        return words[1:]
