"""What a second core brings: as much work a second by two loops on two cores, beside one on one.

A core has a loop, and a load generator of its own with 64 connections, which takes the rest of the core. So
the second core adds as much load as it adds server. Callers are spread over the loops by the kernel
(SO_REUSEPORT). One loop is measured before and after two, and the figure is to the mean of both. Plain epoll
by hand says what the machine allows.
"""

import contextlib
import os
import random

from .catalogue import LOOPED, PLAIN
from .processes import BUILD, Load, Server
from .rounds import middle

OPERATIONS = 20000
CONNECTIONS = 64


def rate(words, words_for_two, cpus):
    """Operations a second, of all load generators together."""
    with contextlib.ExitStack() as opening:
        command = words if len(cpus) == 1 else words_for_two or words
        command = [BUILD / command[0], *command[1:]]
        if words_for_two:
            server = opening.enter_context(Server(command, cpu=set(cpus)))
        else:
            server = opening.enter_context(Server(command, cpu=cpus[0]))
            for cpu in cpus[1:]:
                opening.enter_context(Server(command, cpu=cpu, address=server.address))
        loads = [
            opening.enter_context(Load(server, "echo", CONNECTIONS, cpu=cpu)) for cpu in cpus
        ]
        for operations in (OPERATIONS // 10, OPERATIONS):
            for load in loads:
                load.begin(operations)
            seconds = [load.finish()[0] for load in loads]
    return sum(OPERATIONS / each for each in seconds)


def scaling(rounds):
    """{name: {"scaling", "ratio": [median, least, most]}}; None where there are no two cores."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    servers = [each for each in LOOPED if (BUILD / each[1][0]).exists()]
    if len(cpus) < 2:
        return None
    taken = {name: [] for name, _, _ in servers}
    for _ in range(rounds):
        random.shuffle(servers)
        for name, one, two in servers:
            before = rate(one, two, cpus[:1])
            both = rate(one, two, cpus)
            after = rate(one, two, cpus[:1])
            taken[name].append(2 * both / (before + after))
    return {
        name: {
            "scaling": middle(figures),
            "ratio": middle(figure / plain for figure, plain in zip(figures, taken[PLAIN])),
        }
        for name, figures in taken.items()
    }
