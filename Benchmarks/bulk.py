#!/usr/bin/env python3
"""What much data costs: CPU time of a server for each MiB, beside plain epoll by hand.

    bulk.py [ROUNDS]

Sluice is measured between two measurements of plain epoll, and the ratio is to their mean, so that a
drift of the machine falls out. The least, the median and the most of the ratios are printed.
Echo: 16 messages of 64 KiB under way on each connection. Upload and download: 4 MiB under way. A
proxy passes an echo on, to a server on the load generator's core.
"""

import statistics
import sys

from measure.processes import BUILD, Load, Server
from measure.rounds import cores

MIB = 1 << 20
KIB_64 = 1 << 16
PLAIN, OURS, ECHO = BUILD / "peer-epoll_bulk", BUILD / "bulk-c", BUILD / "echo-c"

# Title, what is loaded with it, connections, bytes of a message, messages under way, Sluice's
# words, plain epoll's.
LOADS = [
    ("echo, 1 connection", "echo", 1, KIB_64, 16, (ECHO, "epoll"), (PLAIN, "echo")),
    ("echo, 4 connections", "echo", 4, KIB_64, 16, (ECHO, "epoll"), (PLAIN, "echo")),
    ("upload, 4 connections", "upload", 4, MIB, 4, (OURS, "sink"), (PLAIN, "sink")),
    ("download, 4 connections", "download", 4, MIB, 4, (OURS, "source"), (PLAIN, "source")),
    ("proxy, 4 connections", "echo", 4, KIB_64, 16, (OURS, "proxy"), (PLAIN, "proxy")),
    ("proxy, beside splice", "echo", 4, KIB_64, 16, (OURS, "proxy"), (PLAIN, "splice")),
]
MOVED = 1 << 30


def cpu_ms(words, kind, connections, size, depth):
    """Of a server, for each MiB."""
    server_cpu, load_cpu = cores()
    operations = max(MOVED // size, 1)
    with Server([PLAIN, "echo"], cpu=load_cpu) as upstream:
        behind = [upstream.address] if words[1] in ("proxy", "splice") else []
        with (
            Server([*words, *behind], cpu=server_cpu) as server,
            Load(server, kind, connections, size, depth, cpu=load_cpu) as load,
        ):
            load.run(operations // 10)
            before = server.cpu_ns()
            load.run(operations)
            return (server.cpu_ns() - before) / 1e6 / (MOVED / MIB)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{'CPU ms for each MiB':<28}{'plain':>8}{'Sluice':>8}{'ratio':>8}{'least':>8}{'most':>8}")
    for title, kind, connections, size, depth, ours, plain in LOADS:
        shape = (kind, connections, size, depth)
        plains, own, ratios = [cpu_ms(plain, *shape)], [], []
        for _ in range(rounds):
            own.append(cpu_ms(ours, *shape))
            plains.append(cpu_ms(plain, *shape))
            ratios.append(2 * own[-1] / (plains[-2] + plains[-1]))
        figures = (statistics.median(plains), statistics.median(own), statistics.median(ratios))
        row = (*figures, min(ratios), max(ratios))
        print(f"{title:<28}" + "".join(f"{figure:>8.3f}" for figure in row), flush=True)


if __name__ == "__main__":
    main()
