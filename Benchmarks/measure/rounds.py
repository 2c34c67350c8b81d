"""CPU time of the servers under a load, as ratios to plain epoll measured just before and after.

The server is pinned to one core, the load generator to another. Every few measurements plain epoll is
measured again, and a ratio is to the mean of the two around it, so that a drift of the machine cancels
out. Each round has another order. A server is started anew for each measurement, unless it has very many
connections.
"""

import contextlib
import dataclasses
import os
import random
import statistics

from .catalogue import PLAIN
from .instructions import Instructions
from .processes import Load, Server

BETWEEN_PLAINS = 4
MANY = 1000
SERVER_CPU, LOAD_CPU = 0, 1


@dataclasses.dataclass
class Sample:
    cpu_us: float  # of the server, for each operation
    server_busy: float  # of the time, 0 to 1
    load_busy: float
    instructions: float | None  # of the server in user space, for each operation
    ratio: float | None = None


def cores():
    """Two cores to use, or None if there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[SERVER_CPU], allowed[LOAD_CPU]) if len(allowed) > 1 else (None, None)


class Session:
    """A server with the load generator connected to it, warmed up."""

    def __init__(self, candidate, load, operations):
        # Most of the servers with `few` are slow: half the operations still take more time than the
        # others need.
        self.operations = operations = operations // 2 if candidate.few else operations
        server_cpu, load_cpu = cores()
        with contextlib.ExitStack() as opening:
            server = Server(candidate.command_for(load), cpu=server_cpu)
            self.server = opening.enter_context(server)
            shape = (load.kind, load.connections, load.size, load.depth)
            generator = Load(self.server, *shape, cpu=load_cpu, busy=load.busy)
            self.generator = opening.enter_context(generator)
            self.generator.run(max(1, operations // 20))
            self.close = opening.pop_all().close

    def measure(self):
        with Instructions(self.server.process.pid) as counter:
            before = self.server.cpu_ns()
            seconds, load_seconds = self.generator.run(self.operations)
            used = self.server.cpu_ns() - before
        return Sample(
            cpu_us=used / self.operations / 1000,
            server_busy=used / 1e9 / seconds,
            load_busy=load_seconds / seconds,
            instructions=None if counter.count is None else counter.count / self.operations,
        )


class Sessions:
    """A session for each measurement; or one for each server, if connecting takes long."""

    def __init__(self, load, operations):
        self.load, self.operations = load, operations
        self.kept = {} if load.connections >= MANY else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for session in (self.kept or {}).values():
            session.close()

    def measure(self, candidate):
        if self.kept is not None:
            if candidate.name not in self.kept:
                self.kept[candidate.name] = Session(candidate, self.load, self.operations)
            return self.kept[candidate.name].measure()
        session = Session(candidate, self.load, self.operations)
        try:
            return session.measure()
        finally:
            session.close()


def one_round(plain, others, sessions, samples):
    random.shuffle(others)
    before = sessions.measure(plain)
    samples[plain.name].append(before)
    for first in range(0, len(others), BETWEEN_PLAINS):
        group = others[first : first + BETWEEN_PLAINS]
        for candidate in group:
            samples[candidate.name].append(sessions.measure(candidate))
        after = sessions.measure(plain)
        samples[plain.name].append(after)
        mean = (before.cpu_us + after.cpu_us) / 2
        before.ratio = before.ratio or before.cpu_us / mean
        after.ratio = after.cpu_us / mean
        for candidate in group:
            samples[candidate.name][-1].ratio = samples[candidate.name][-1].cpu_us / mean
        before = after


def middle(values):
    """The median, the least and the greatest."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    return [statistics.median(values), min(values), max(values)]


def compare(servers, load, rounds, operations):
    """What each server that takes this load costs under it, by name."""
    servers = [candidate for candidate in servers if candidate.takes(load)]
    plain = next(candidate for candidate in servers if candidate.name == PLAIN)
    others = [candidate for candidate in servers if candidate is not plain]
    samples = {candidate.name: [] for candidate in servers}
    with Sessions(load, operations) as sessions:
        for _ in range(rounds):
            one_round(plain, others, sessions, samples)
    return {
        name: {
            "cpu_us": middle(sample.cpu_us for sample in taken),
            "ratio": middle(sample.ratio for sample in taken),
            "server_busy": statistics.median(sample.server_busy for sample in taken),
            "load_busy": statistics.median(sample.load_busy for sample in taken),
            "instructions": middle(sample.instructions for sample in taken),
        }
        for name, taken in samples.items()
    }
