#!/usr/bin/env python3
"""Servers on Sluice and on libevent serve the same clients under the same faults. This prints the result
as the table of docs/reliability.md: make compare-faults.

The sets of faults go from what Linux does any day to what the manual pages allow. Bytes count as lost if
a client missed them although no fault had ended its connection. libevent's servers are those of
Benchmarks/peers. With `event`, libevent reports readiness, and the program makes the system calls itself.
"""

import random
import sys
from collections import Counter

from clients import Clients
from faults import BACKENDS, BUILD, COSTLY, KINDS, PASSING, SEED, SERVERS, Server

COUNT = 300
ROUNDS = 5
RATE = 200
NAMES = {"c": "Sluice, C", "swift": "Sluice, Swift", "async": "Sluice, Swift, tasks",
         "event": "libevent `event`", "bufferevent": "libevent `bufferevent`"}
PEERS = {"event": [BUILD / "bench/peer-libevent_event", "127.0.0.1:0"],
         "bufferevent": [BUILD / "bench/peer-libevent_bufferevent", "127.0.0.1:0"]}
SETS = {
    "EAGAIN, short counts, late wake-ups": ("eagain", "short", "delay"),
    "and EINTR, aborted callers": PASSING,
    "and resets, nothing left": KINDS,
}
HEAD = ("server", "faults", "injected", "connections served", "ended without cause",
        "bytes lost", "stuck", "descriptors leaked", "spins", "crashes")


def fare(command, backend, seed, kinds):
    """The counts of a run, with the names of HEAD."""
    with Server(command, backend, seed, RATE, kinds) as server:
        clients = Clients(server.address, random.Random(seed), COUNT).run()
        leaked, tally, crashed = server.leaked(), server.tally(), not server.runs()
    # We assume that the clients whose connection a fault has ended are those that missed the most.
    excused = tally.total(COSTLY)
    parted = sorted(clients.parted, reverse=True)[excused:]
    lost = sum(parted) + sum(clients.stuck)
    return Counter(dict(zip(HEAD[2:], (
        tally.total(), clients.served, len(parted), lost, len(clients.stuck), leaked, tally.spins,
        int(crashed)))))


def row(name, faults, sum_of_runs):
    numbers = [f"{sum_of_runs[column]:,}" for column in HEAD[2:]]
    return f"| {' | '.join([NAMES[name], faults, *numbers])} |"


def main():
    print(f"{COUNT} clients at {ROUNDS} seeds from {SEED} on, with select, poll and epoll: one call in"
          f" {1000 // RATE} that may suffer does\n", file=sys.stderr)
    print(f"| {' | '.join(HEAD)} |\n|---|---|{'--:|' * len(HEAD[2:])}")
    for name, command in (SERVERS | PEERS).items():
        for faults, kinds in SETS.items():
            runs = Counter()
            for seed in range(SEED, SEED + ROUNDS):
                for backend in BACKENDS:
                    runs.update(fare(command, backend, seed, kinds))
            print(row(name, faults, runs), flush=True)


if __name__ == "__main__":
    main()
