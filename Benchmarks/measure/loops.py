"""What a second core brings: the work of two loops on two cores in a second, beside one loop on one core.

A core has a loop and a load generator of its own with 64 connections. The generator takes the rest of the core.
So the second core adds as much load as it adds server. The kernel spreads the connections over the loops
(SO_REUSEPORT). One loop is measured before and after two, and the figure is to the mean of both. Plain epoll
by hand shows what the machine allows.

By the clock this is true only if nothing else runs. So the same is also given by CPU time: what an echo takes
of it, server and load generator together, on one core and on two.
"""

import contextlib
import os
import random

from .catalogue import LOOPED, PLAIN
from .processes import BUILD, Load, Server
from .rounds import middle

OPERATIONS = 20000
CONNECTIONS = 64


def speeds(words, words_for_two, cpus):
    """Operations in a second, and in a second of CPU time, times the cores."""
    with contextlib.ExitStack() as opening:
        command = words if len(cpus) == 1 else words_for_two or words
        command = [BUILD / command[0], *command[1:]]
        if words_for_two:
            servers = [opening.enter_context(Server(command, cpu=set(cpus)))]
        else:
            servers = [opening.enter_context(Server(command, cpu=cpus[0]))]
            for cpu in cpus[1:]:
                server = Server(command, cpu=cpu, address=servers[0].address)
                servers.append(opening.enter_context(server))
        loads = [
            opening.enter_context(Load(servers[0], "echo", CONNECTIONS, cpu=cpu)) for cpu in cpus
        ]
        for operations in (OPERATIONS // 10, OPERATIONS):
            used = -sum(server.cpu_ns() for server in servers) / 1e9
            for load in loads:
                load.begin(operations)
            seconds, by_loads = zip(*(load.finish() for load in loads))
            used += sum(server.cpu_ns() for server in servers) / 1e9 + sum(by_loads)
    by_clock = sum(OPERATIONS / each for each in seconds)
    return by_clock, OPERATIONS * len(cpus) / used * len(cpus)


def scaling(rounds):
    """{name: {"clock", "cpu", "ratio": [median, least, most]}}; None if there are no two cores.

    The ratio is that of the clock's figure to plain epoll's of the same round.
    """
    cpus = sorted(os.sched_getaffinity(0))[:2]
    servers = [each for each in LOOPED if (BUILD / each[1][0]).exists()]
    if len(cpus) < 2:
        return None
    taken = {name: [] for name, _, _ in servers}
    for _ in range(rounds):
        random.shuffle(servers)
        for name, one, two in servers:
            before = speeds(one, two, cpus[:1])
            both = speeds(one, two, cpus)
            after = speeds(one, two, cpus[:1])
            taken[name].append([2 * b / (a + c) for a, b, c in zip(before, both, after)])
    return {
        name: {
            "clock": middle(clock for clock, _ in runs),
            "cpu": middle(cpu for _, cpu in runs),
            "ratio": middle(run[0] / plain[0] for run, plain in zip(runs, taken[PLAIN])),
        }
        for name, runs in taken.items()
    }
