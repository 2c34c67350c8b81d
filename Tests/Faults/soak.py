#!/usr/bin/env python3
"""soak.py MINUTES - echo load over faults for as long as asked: make soak MINUTES=n.

Each round takes the next backend, another seed and another shape of load. Both the server and the
load are under the faults that must not cost a byte, and the load compares every byte. Each round prints
a line. The first round that fails ends the run, with the command that repeats the round.
"""

import os
import random
import re
import subprocess
import sys
import tempfile
import time

from faults import BACKENDS, PASSING, PATIENCE, PROGRAMS, SEED, SERVERS, Server, Tally, environment

SECONDS = 5  # of load in each round
RATES = (5, 50, 200)
SHAPES = ((50, 1, 64), (200, 4, 64), (8, 16, 4000), (4, 2, 300000), (1000, 1, 16))


def load(address, backend, shape, seed, rate, tally):
    connections, pipeline, size = shape
    command = [PROGRAMS / "sluice-echo", "load", "--connect", f"127.0.0.1:{address[1]}", "--verify",
               "--backend", backend, "--connections", str(connections), "--pipeline", str(pipeline),
               "--size", str(size), "--duration", str(SECONDS)]
    return subprocess.run(command, env=environment(seed, rate, PASSING, tally), text=True,
                          capture_output=True, timeout=SECONDS + 6 * PATIENCE)


def play(number, seed):
    """Plays a round. Returns its line, and what went wrong, or None."""
    choose = random.Random(seed)
    backend = BACKENDS[number % len(BACKENDS)]
    name, shape, rate = choose.choice(list(SERVERS)), choose.choice(SHAPES), choose.choice(RATES)
    with Server(SERVERS[name], backend, seed, rate, PASSING) as server, \
            tempfile.TemporaryDirectory() as directory:
        tally = os.path.join(directory, "tally")
        done = load(server.address, backend, shape, seed, rate, tally)
        leaked, seen = server.leaked(), server.tally()
        code = server.end()
        faults = seen.total() + Tally(tally).total()
    throughput = re.search(r"throughput +(.*)", done.stdout)
    line = (f"round {number}, seed {seed}: {name} over {backend}, {shape[0]} connections, {shape[1]} x"
            f" {shape[2]} bytes, {rate} in 1,000: {faults:,} faults,"
            f" {throughput[1] if throughput else 'no report'}")
    if done.returncode != 0:
        return line, done.stderr
    if leaked or seen.spins or code != 0:
        return line, f"{leaked} descriptors leaked, {seen.spins} spins, exit {code}"
    return line, None


def main():
    end = time.monotonic() + 60 * float(sys.argv[1])
    number = 0
    while number == 0 or time.monotonic() < end:
        line, problem = play(number, SEED + number)
        print(line, flush=True)
        if problem:
            # The round's backend follows from its number.
            first = SEED + number - number % len(BACKENDS)
            sys.exit(f"{problem}\nrepeat with SLUICE_SEED={first} make soak MINUTES=1")
        number += 1


if __name__ == "__main__":
    main()
