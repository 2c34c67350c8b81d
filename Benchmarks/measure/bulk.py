"""What much data costs: the CPU time of a server for each MiB, beside plain epoll by hand; and how long quiet
connections wait beside it.

Sluice is measured between two measurements of plain epoll, and the ratio is to their mean, so that a
drift of the machine cancels out.
"""

import random
import socket
import time

from .processes import BUILD, Load, PATIENCE_S, Server
from .rounds import cores, middle

MIB = 1 << 20
KIB_64 = 1 << 16
PLAIN, OURS, ECHO = BUILD / "peer-epoll_bulk", BUILD / "bulk-c", BUILD / "echo-c"
MOVED = 1 << 30

# Each row: the title, what is loaded with it, connections, bytes of a message, messages under way,
# the words for Sluice's server, and the words for plain epoll's.
LOADS = [
    ("echo, 1 connection", "echo", 1, KIB_64, 16, (ECHO, "epoll"), (PLAIN, "echo")),
    ("echo, 4 connections", "echo", 4, KIB_64, 16, (ECHO, "epoll"), (PLAIN, "echo")),
    ("upload, 4 connections", "upload", 4, MIB, 4, (OURS, "sink"), (PLAIN, "sink")),
    ("download, 4 connections", "download", 4, MIB, 4, (OURS, "source"), (PLAIN, "source")),
    ("proxy, 4 connections", "echo", 4, KIB_64, 16, (OURS, "proxy"), (PLAIN, "proxy")),
    ("proxy, beside splice", "echo", 4, KIB_64, 16, (OURS, "proxy"), (PLAIN, "splice")),
]

QUIET, PINGS = 100, 2000
WAITING = {
    "plain epoll": (PLAIN, "echo"),
    "Sluice C, epoll": (ECHO, "epoll"),
    "libev": (BUILD / "peer-libev",),
    "libuv": (BUILD / "peer-libuv",),
}


def cpu_ms(words, kind, connections, size, depth):
    """CPU milliseconds of a server, for each MiB."""
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


def costs(rounds):
    """{load: {"plain", "ours", "ratio": [median, least, most]}}. The first two are in CPU ms for each MiB."""
    found = {}
    for title, kind, connections, size, depth, ours, plain in LOADS:
        shape = (kind, connections, size, depth)
        plains, own = [cpu_ms(plain, *shape)], []
        for _ in range(rounds):
            own.append(cpu_ms(ours, *shape))
            plains.append(cpu_ms(plain, *shape))
        around = [(a + b) / 2 for a, b in zip(plains, plains[1:])]
        found[title] = {
            "plain": middle(plains),
            "ours": middle(own),
            "ratio": middle(mine / theirs for mine, theirs in zip(own, around)),
        }
    return found


def waits_us(words):
    """How long quiet connections wait for their echo, one at a time, while others move much data."""
    server_cpu, load_cpu = cores()
    with (
        Server(words, cpu=server_cpu) as server,
        Load(server, "echo", 4, KIB_64, 16, cpu=load_cpu) as load,
    ):
        host, _, port = server.address.rpartition(":")
        quiet = [socket.create_connection((host, int(port)), PATIENCE_S) for _ in range(QUIET)]
        load.run(MOVED // 10 // KIB_64)
        load.begin(4 * MOVED // KIB_64)
        taken = []
        for i in range(PINGS):
            asking = quiet[i % QUIET]
            began = time.perf_counter_ns()
            asking.sendall(b"x")
            if asking.recv(1) != b"x":
                raise RuntimeError(f"{words[0]} did not answer")
            taken.append((time.perf_counter_ns() - began) / 1000)
        load.finish()
        for each in quiet:
            each.close()
    taken.sort()
    return taken[PINGS // 2], taken[PINGS * 99 // 100]


def waits(rounds):
    """{server: {"p50", "p99": [median, least, most] of the rounds}}, in µs."""
    servers = [(name, words) for name, words in WAITING.items() if words[0].exists()]
    taken = {name: [] for name, _ in servers}
    for _ in range(rounds):
        random.shuffle(servers)
        for name, words in servers:
            taken[name].append(waits_us(words))
    return {
        name: {
            "p50": middle(p50 for p50, _ in taken[name]),
            "p99": middle(p99 for _, p99 in taken[name]),
        }
        for name in WAITING
        if name in taken
    }


def much_data(rounds):
    return {"costs": costs(rounds), "waits": waits(rounds)}
