"""What lies below the servers: dispatch, timers, posts and byte queues, each in a program of its own."""

import concurrent.futures
import statistics
import subprocess

from .catalogue import DISPATCHERS, GROWING, LIBRARIES, PLAIN
from .counting import program_instructions
from .processes import BUILD, pin
from .rounds import cores, middle

FEW = 8
SPARE_DESCRIPTORS = 100
MILLION = 1_000_000
TIMER_OPERATIONS = ["add", "cancel", "fire", "reset"]
QUEUES = {
    "Sluice": {
        "append": ["sluice_queue_append"],
        "take": ["sluice_queue_peek", "sluice_queue_consume"],
        "move": ["sluice_queue_move"],
    },
    "evbuffer": {
        "append": ["evbuffer_add"],
        "take": ["evbuffer_peek", "evbuffer_drain"],
        "move": ["evbuffer_add_buffer"],
    },
}
QUEUE_CALLS = {"append": 64, "take": 16, "move": 1}


def program(kind, library):
    return BUILD / f"{kind}-{library.lower()}"


def there(kind, library):
    return program(kind, library).exists()


def output(words, cpu=None):
    words = [str(word) for word in words]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=pin(cpu), check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} failed: {done.stderr.strip()}")
    return [float(word) for word in done.stdout.split()]


def dispatch(sizes, rounds):
    """CPU nanoseconds of an event: {"few" or "all": {name: {size: [median, least, most]}}}."""
    cpu, _ = cores()
    taken = {}
    for _ in range(rounds):
        for size in sizes:
            for name, library, backend in DISPATCHERS:
                if not there("dispatch", library):
                    continue
                for activity in ("few", "all"):
                    active = size if activity == "all" else min(FEW, size)
                    events = max(20000, 4 * size)
                    if activity == "few" and backend in ("poll", "select"):
                        # A wait looks at all of them. So the more there are, the more an event
                        # costs.
                        events = max(400, min(events, 2_000_000 // size))
                    words = ["cascade", size, active, events, backend]
                    got = output([program("dispatch", library), *words], cpu)
                    taken.setdefault((activity, name, size), []).extend(got)
    result = {"few": {}, "all": {}}
    for (activity, name, size), values in taken.items():
        result[activity].setdefault(name, {})[size] = middle(values)
    return result


def growth(most, rounds):
    """CPU nanoseconds of an event, with 8 active descriptors among 100 to `most`.

    {name: {size: {"ns", "ratio": [median, least, most]}}}: the ratio is to plain epoll with as many
    descriptors. Plain epoll is measured before and after the others.
    """
    cpu, _ = cores()
    most -= SPARE_DESCRIPTORS
    sizes = [size for size in (100, 1000, 10_000, 100_000) if size <= most]
    if sizes[-1] < min(most // 1000 * 1000, 100_000):
        sizes.append(most // 1000 * 1000)
    entries = [e for e in DISPATCHERS if e[0] in GROWING and there("dispatch", e[1])]
    plain, *others = sorted(entries, key=lambda entry: entry[0] != PLAIN)

    def run(entry, size):
        _, library, backend = entry
        # A wait by poll looks at all of them.
        events = max(200, 2_000_000 // size) if backend == "poll" else 20_000
        words = [program("dispatch", library), "wide", size, FEW, min(events, 20_000), backend]
        return statistics.median(output(words, cpu))

    taken = {}
    for size in sizes:
        for _ in range(rounds):
            before = run(plain, size)
            figures = {name: run((name, *rest), size) for name, *rest in others}
            after = run(plain, size)
            figures[PLAIN] = (before + after) / 2
            for name, ns in figures.items():
                taken.setdefault((name, size), []).append((ns, ns / figures[PLAIN]))
    result = {entry[0]: {} for entry in entries}
    for (name, size), runs in taken.items():
        ns, ratio = zip(*runs)
        result[name][size] = {"ns": middle(ns), "ratio": middle(ratio)}
    return result


def ready_instructions():
    """User instructions of an event when 1,000 descriptors are ready."""

    def count(entry):
        name, library, backend = entry

        def run(rounds):
            words = [program("dispatch", library), "ready", 1000, rounds, backend]
            return program_instructions(words)

        return name, (run(150) - run(50)) / 100 / 1000

    entries = [entry for entry in DISPATCHERS if there("dispatch", entry[1])]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(pool.map(count, entries))


def timers(live, rounds):
    """{library: {operation: {"instructions", "ns": [median, least, most]}, "bytes"}}."""
    cpu, _ = cores()
    libraries = [library for library in LIBRARIES if there("timers", library)]

    def words(library, operation):
        few = {"add": 0, "reset": min(live, 10000)}.get(operation, live)
        return [program("timers", library), operation, few, live]

    result = {library: {} for library in libraries}
    for library in libraries:
        for operation in TIMER_OPERATIONS:
            runs = [output(words(library, operation), cpu) for _ in range(rounds)]
            result[library][operation] = {"ns": middle(run[0] for run in runs)}
            if operation == "add":
                result[library]["bytes"] = runs[0][1]

    def count(entry):
        return program_instructions(words(*entry), within=["measured"]) / live

    entries = [(library, operation) for library in libraries for operation in TIMER_OPERATIONS]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (library, operation), figure in zip(entries, pool.map(count, entries)):
            result[library][operation]["instructions"] = figure
    return result


def posts(rounds):
    """{library: {"flood_ns": [median, least, most], "seen": share, "wake_ns": like flood_ns}}."""
    result = {}
    libraries = [name for name in [*LIBRARIES, "eventfd"] if there("posts", name)]
    taken = {library: [] for library in libraries}
    count = 1_000_000
    for _ in range(rounds):
        for library in libraries:
            flood, seen = output([program("posts", library), "flood", count])
            (wake,) = output([program("posts", library), "wake", 5000])
            taken[library].append((flood, seen / count, wake))
    for library, runs in taken.items():
        flood, seen, wake = zip(*runs)
        result[library] = {
            "flood_ns": middle(flood),
            "seen": statistics.median(seen),
            "wake_ns": middle(wake),
        }
    return result


def queues():
    """User instructions of a call: {queue: {operation: figure}}."""
    result = {}
    for name, operations in QUEUES.items():
        if not there("queue", name):
            continue
        result[name] = {}
        for operation, functions in operations.items():

            def run(rounds):
                return program_instructions([program("queue", name), operation, rounds], functions)

            result[name][operation] = (run(300) - run(100)) / 200 / QUEUE_CALLS[operation]
    return result
