#!/usr/bin/env python3
"""Counts what Sluice costs, and compares it with what it cost before: Benchmarks/ceilings.json.

    gate.py            counts, prints a table, and fails if a figure is over its ceiling
    gate.py --write    makes what it counts the new ceilings
    gate.py ... WORD   only the figures with WORD in their names

Only what can be counted is here, because that repeats within a percent on any machine with the same
compiler. These are user-space instructions, system calls (counted by strace), bytes and lines.
Instructions are callgrind's, from two runs of different lengths, so that the cost of starting cancels
out. Time is for bench.py. A figure may be 5 % over what it was when the ceilings were written. The target
is what the figure should be.
"""

import argparse
import json
import sys

from measure import counting
from measure.processes import BUILD, ROOT

CEILINGS = ROOT / "Benchmarks" / "ceilings.json"
MARGIN = 1.05
# On a busy machine a wait brings fewer events, so an operation costs more. A figure that is over
# its ceiling is counted again, up to this many times, and the least is taken.
AGAIN = 3
MILLION = 1_000_000

C_ECHO, SWIFT_ECHO = BUILD / "echo-c", BUILD / "echo-swift"
ASYNC_ECHO = BUILD / "echo-async"


def echo(program, *words):
    return counting.server_instructions([program, *words], "echo", 2000, 12000)


def connection(program):
    """More connections at a time than for echoes: the cost depends on how many share a wait."""
    return counting.server_instructions([program, "epoll"], "churn", 400, 3400, connections=256)


def ready(*command):
    """An event when 1,000 descriptors are ready. The program's loop over the events is included."""

    def run(rounds):
        words = [str(rounds) if word == "ROUNDS" else word for word in command]
        return counting.program_instructions([BUILD / words[0], *words[1:]])

    return (run(300) - run(100)) / 200 / 1000


def c_ready(backend):
    return ready("dispatch-poller", "ready", "1000", "ROUNDS", backend)


def swift_ready(backend):
    return ready("ready-swift", backend, "1000", "ROUNDS")


def swift_line():
    """A line of 32 bytes, 16 lines in a message. What it takes to receive them is not included."""

    def run(mode, rounds):
        return counting.program_instructions([BUILD / "frames-swift", mode, rounds])

    cut = run("lines", 3000) - run("lines", 1000)
    return (cut - (run("none", 3000) - run("none", 1000))) / 2000 / 16


def async_line(mode):
    """A line of 32 bytes, 16 lines in a message. What it takes to receive and to answer is included.

    As a String, some 500 instructions are for the String alone: its memory, the check for what is not
    UTF-8, and its end. Otherwise the line is lent where it lies.
    """
    command = [ASYNC_ECHO, "epoll", mode]
    return counting.server_instructions(command, "lines", 1000, 4000, size=16 * 32) / 16


def loop_timer(operation, live):
    """By public calls. A timer that fires is also pulled. The least of three: a loop has a real clock."""
    words = [BUILD / "timers-sluice", operation, live, MILLION]
    runs = [counting.program_instructions(words, within=["measured"]) for _ in range(3)]
    return min(runs) / MILLION


def wheel(operation, live):
    """The timers by themselves, without handles and events."""

    def run(times):
        return counting.program_instructions([BUILD / "wheel", operation, live, times])

    return (run(MILLION) - run(0)) / MILLION


def queue(operation, calls_a_round, *functions):
    def run(rounds):
        return counting.program_instructions([BUILD / "queue-sluice", operation, rounds], functions)

    return (run(300) - run(100)) / 200 / calls_a_round


def calls(program, kind, name):
    few, many = (2000, 8000) if kind == "echo" else (200, 1200)
    return counting.server_calls([program, "epoll"], kind, few, many)[name]


def idle(program):
    return counting.idle_bytes([program, "epoll"], 8000)


# Each row has a name, the target or None, and what counts it. The targets of poll, select and
# libevent are 1.3 times what an echo over libevent's event executes (Benchmarks/peers).
INSTRUCTIONS = [
    ("C echo, epoll", 180, lambda: echo(C_ECHO, "epoll")),
    ("C echo, epoll, one file", 180, lambda: echo(BUILD / "echo-c-one-file", "epoll")),
    ("C echo, poll", 450, lambda: echo(C_ECHO, "poll")),
    ("C echo, select", 450, lambda: echo(C_ECHO, "select")),
    ("C echo, libevent", 450, lambda: echo(BUILD / "echo-c-libevent", "libevent")),
    ("C answer of its own", 285, lambda: echo(C_ECHO, "epoll", "own")),
    ("C answer of a head and a body", 330, lambda: echo(C_ECHO, "epoll", "parts")),
    ("C connection accepted, echoed, closed", 900, lambda: connection(C_ECHO)),
    ("Swift echo, epoll", 260, lambda: echo(SWIFT_ECHO, "epoll")),
    ("Swift connection accepted, echoed, closed", None, lambda: connection(SWIFT_ECHO)),
    ("Swift async echo", 1800, lambda: echo(ASYNC_ECHO, "epoll", "inbound")),
    (
        "Swift async echo, isolated only",
        1450,
        lambda: echo(ASYNC_ECHO, "epoll", "inbound", "isolated"),
    ),
    ("Swift async connection accepted, echoed, closed", 15000, lambda: connection(ASYNC_ECHO)),
    ("watch event, epoll", 110, lambda: ready("dispatch-loop", "ready", "1000", "ROUNDS", "epoll")),
    ("poller event, epoll", 30, lambda: c_ready("epoll")),
    ("poller event, poll", None, lambda: c_ready("poll")),
    ("poller event, select", None, lambda: c_ready("select")),
    ("Swift poller event, epoll", None, lambda: swift_ready("epoll")),
    ("Swift poller event, poll", None, lambda: swift_ready("poll")),
    ("Swift poller event, select", None, lambda: swift_ready("select")),
    ("Swift line of 32 bytes", 60, swift_line),
    ("Swift async line by readLine, pipelined by 16", 400, lambda: async_line("lines")),
    ("Swift async line by frames, pipelined by 16", 400, lambda: async_line("frames")),
    ("timer add", 70, lambda: loop_timer("add", 0)),
    ("timer cancel", 40, lambda: loop_timer("cancel", MILLION)),
    ("timer fire", 70, lambda: loop_timer("fire", MILLION)),
    ("timer reset", 45, lambda: loop_timer("reset", 10000)),
    ("timer add, wheel only", 70, lambda: wheel("add", MILLION)),
    ("timer cancel, wheel only", 40, lambda: wheel("cancel", MILLION)),
    ("timer fire, wheel only", 70, lambda: wheel("fire", MILLION)),
    ("timer reset, wheel only", 45, lambda: wheel("reset", 10000)),
    ("queue append 1 KiB", 40, lambda: queue("append", 64, "sluice_queue_append")),
    (
        "queue take 4 KiB",
        40,
        lambda: queue("take", 16, "sluice_queue_peek", "sluice_queue_consume"),
    ),
    ("queue move 64 KiB", 60, lambda: queue("move", 1, "sluice_queue_move")),
]
OTHERS = [
    ("C system calls an echo", 2.05, lambda: calls(C_ECHO, "echo", "total")),
    ("C epoll_ctl calls a connection", 2, lambda: calls(C_ECHO, "churn", "epoll_ctl")),
    ("Swift system calls an echo", 2.05, lambda: calls(SWIFT_ECHO, "echo", "total")),
    ("C bytes for an idle connection", 128, lambda: idle(C_ECHO)),
    ("Swift bytes for an idle connection", 256, lambda: idle(SWIFT_ECHO)),
    ("Swift async bytes for an idle connection", 1650, lambda: idle(ASYNC_ECHO)),
    (
        "Swift async bytes for a silent connection",
        300,
        lambda: counting.silent_bytes([ASYNC_ECHO, "epoll", "inbound", "first"], 8000),
    ),
    ("C echo, stripped, in bytes", 81920, lambda: counting.stripped_bytes(BUILD / "echo-smallest")),
    ("C core, lines of code", 6500, lambda: counting.code_lines("CSources/CSluice")),
]


def text(number):
    if number is None:
        return "-"
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"


def count_all(chosen, ceilings):
    """Counts and prints as it goes. Returns the figures, and the names of those over their ceilings."""
    figures, over = {}, []
    for title, group in (("user instructions for each", INSTRUCTIONS), ("other", OTHERS)):
        group = [figure for figure in group if chosen in figure[0]]
        if group:
            print(f"\n{title:<46}{'figure':>10}{'ceiling':>10}{'target':>10}")
        for name, target, count in group:
            figure = round(count(), 2)
            ceiling = ceilings[name] * MARGIN if name in ceilings else None
            for _ in range(AGAIN):
                if ceiling is None or figure <= ceiling:
                    break
                figure = min(figure, round(count(), 2))
            figures[name] = figure
            if ceiling is None or figure > ceiling:
                over.append(name)
            row = f"{name:<46}{text(figure):>10}{text(ceiling):>10}{text(target):>10}"
            print(row + ("  over" if name in over else ""), flush=True)
    return figures, over


def main():
    parser = argparse.ArgumentParser(description="what Sluice costs, held to ceilings")
    parser.add_argument("--write", action="store_true", help="make these the ceilings")
    parser.add_argument("word", nargs="?", default="", help="only figures with it in their names")
    options = parser.parse_args()
    ceilings = json.loads(CEILINGS.read_text()) if CEILINGS.exists() else {}
    figures, over = count_all(options.word, ceilings)
    if options.write:
        names = [figure[0] for figure in INSTRUCTIONS + OTHERS]
        ceilings = {name: figures.get(name, ceilings.get(name)) for name in names}
        known = {name: figure for name, figure in ceilings.items() if figure is not None}
        CEILINGS.write_text(json.dumps(known, indent=2) + "\n")
        print(f"\nwritten to {CEILINGS.relative_to(ROOT)}")
    elif over:
        sys.exit(f"\nbench-gate: over the ceiling, or without one: {', '.join(over)}")


if __name__ == "__main__":
    main()
