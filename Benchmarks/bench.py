#!/usr/bin/env python3
"""Measures what Sluice costs beside other libraries, and writes a report.

    bench.py [--quick] [--only WORD] [--to DIRECTORY]

The report is a page with its pictures, and results.json with every figure. README.md, beside this file,
has the rules of measurement and says how to read the report.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import time

from measure import below, bulk, counting, instructions, loops, rounds
from measure.catalogue import LOADS, SERVERS
from measure.processes import BUILD, ROOT, Server, most_descriptors

REPORT = ROOT / "Benchmarks" / "report"
MOST_QUICK = 2000
MOST_DESCRIPTORS = 100_000 + below.SPARE_DESCRIPTORS


def first_line(*words):
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not there"
    return (done.stdout or done.stderr).strip().splitlines()[0]


def package_version(name):
    words = ["dpkg-query", "-W", "-f", "${Version}\n", name]
    return first_line(*words).replace("dpkg-query: no packages found", "not from a package")


def resolved_version(folder, package):
    """The version of a package, as the peer's own package resolved it."""
    state = ROOT / "build" / folder / "workspace-state.json"
    if not state.exists():
        return "not there"
    for dependency in json.loads(state.read_text())["object"]["dependencies"]:
        if dependency["packageRef"]["identity"] == package:
            return dependency["state"]["checkoutState"].get("version", "a revision")
    return "not there"


def python_versions():
    python = ROOT / "build" / "python" / "bin" / "python"
    say = "import sys; from importlib.metadata import version; print(sys.version.split()[0], end='')"
    words = [str(python), "-c", f"{say}; print(', uvloop', version('uvloop'))"]
    return first_line(*words) if python.exists() else "not there"


def machine():
    cpu = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").open():
        if line.startswith("model name"):
            cpu = line.split(":")[1].strip()
            break
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "gcc": first_line("gcc", "--version"),
        "Swift": first_line("swift", "--version"),
        "libevent": package_version("libevent-dev"),
        "libuv": package_version("libuv1-dev"),
        "libev": package_version("libev-dev"),
        "liburing": package_version("liburing-dev"),
        "Asio": package_version("libasio-dev"),
        "Go": first_line("go", "version"),
        "CPython": python_versions(),
        "SwiftNIO": resolved_version("nio", "swift-nio"),
        "FlyingFox": resolved_version("flyingsocks", "flyingfox"),
        "descriptors of a process": f"{most_descriptors(MOST_DESCRIPTORS):,}",
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "commit": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


class Progress:
    """Says what is being measured, and how long the last measurement took."""

    def __init__(self):
        self.began = time.monotonic()

    def __call__(self, text):
        print(f"{time.monotonic() - self.began:6.0f} s  {text}", flush=True)


def starts(candidate):
    """Whether the server was built and can run. io_uring, for example, may be forbidden."""
    try:
        with Server(candidate.command):
            return True
    except (OSError, RuntimeError):
        return False


def count_servers(servers, quick):
    """What can be counted exactly for each server: an echo at 64 connections, and a connection."""
    counts = {}
    for candidate in servers:
        if not candidate.counted:
            continue
        command = candidate.command
        counts[candidate.name] = {
            "instructions": counting.server_instructions(command, "echo", 1000, 6000, repeats=1)
        }
        if not quick:
            connection = counting.server_instructions(
                command, "churn", 200, 1200, connections=256, repeats=1
            )
            calls = counting.server_calls(command, "echo", 500, 2500)["total"]
            counts[candidate.name].update(connection=connection, calls=calls)
    return counts


def measure(options, say):
    quick = options.quick
    wanted = [load for load in LOADS if options.only in load.key]
    compared = SERVERS if wanted or options.only in "idle counts" else []
    servers = [candidate for candidate in compared if starts(candidate)]
    results = {
        "date": datetime.date.today().isoformat(),
        "quick": quick,
        "machine": machine(),
        "hardware_counters": instructions.available(),
        "left_out": [candidate.name for candidate in compared if candidate not in servers],
        "rounds": 3 if quick else 5,
        "loads": {},
    }
    for name in results["left_out"]:
        say(f"left out, since it was not built or does not start: {name}")
    limit = most_descriptors(MOST_DESCRIPTORS)
    results["loads_left_out"] = [
        load.title for load in wanted if load.connections > limit - below.SPARE_DESCRIPTORS
    ]
    wanted = [load for load in wanted if load.title not in results["loads_left_out"]]
    for title in results["loads_left_out"]:
        say(f"left out, since a process may have but {limit:,} descriptors: {title}")
    if quick:
        # Making that many connections takes half a minute by itself.
        wanted = [load for load in wanted if load.connections < MOST_QUICK]
    idle_connections = MOST_QUICK if quick else 8000
    for load in wanted:
        say(load.title)
        operations = load.operations // 6 if quick else load.operations
        count = results["rounds"]
        results["loads"][load.key] = rounds.compare(servers, load, count, operations)
    steps = {
        "bulk": lambda: bulk.much_data(1 if quick else 5),
        "idle": lambda: {
            candidate.name: counting.idle_bytes(candidate.command, idle_connections)
            for candidate in servers
        },
        "counts": lambda: count_servers(servers, quick),
        "dispatch": lambda: below.dispatch(
            [8, 1000, 8000] if quick else [8, 32, 125, 500, 2000, 8000], 1 if quick else 3
        ),
        "growth": lambda: below.growth(min(limit, 3000) if quick else limit, 1 if quick else 3),
        "loops": lambda: loops.scaling(1 if quick else 5),
        "ready": below.ready_instructions,
        "timers": lambda: below.timers(100_000 if quick else below.MILLION, 1 if quick else 3),
        "posts": lambda: below.posts(1 if quick else 5),
        "queues": below.queues,
    }
    for name, step in steps.items():
        if options.only in name:
            say(name)
            results[name] = step()
    say("done")
    return results


def main():
    parser = argparse.ArgumentParser(description="what Sluice costs beside others")
    parser.add_argument("--quick", action="store_true", help="two minutes, and rough")
    parser.add_argument(
        "--only", default="", metavar="WORD", help="only loads with it in their keys"
    )
    parser.add_argument("--to", type=pathlib.Path, help="where the report goes")
    options = parser.parse_args()
    directory = options.to or (BUILD / "report" if options.quick else REPORT)
    if not bulk.PLAIN.exists():
        sys.exit("bench: nothing is built; use make bench")
    random.seed(int(os.environ.get("SLUICE_SEED", "1")))
    results = measure(options, Progress())
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    subprocess.run([sys.executable, ROOT / "Benchmarks" / "report.py", directory], check=True)


if __name__ == "__main__":
    main()
