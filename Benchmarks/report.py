#!/usr/bin/env python3
"""Makes a report's page, README.md, and its pictures from its results.json: report.py DIRECTORY.

    report.py --check DIRECTORY    fails, and names each file that would be made otherwise now

Every sentence is made from the figures, so that no sentence says what the figures do not.
"""

import json
import pathlib
import sys
import textwrap

sys.dont_write_bytecode = True
from measure import plots  # noqa: E402
from measure.catalogue import LOADS, PLAIN  # noqa: E402
from measure.plots import number  # noqa: E402

OURS = "Sluice C, epoll"
IO_URING = "plain io_uring"
RESOLVED = 1.05  # CPU times that are nearer to each other than this count as the same
LINES = {
    "Sluice select": ("select", "red"),
    "Sluice poll": ("poll", "peer"),
    "Sluice epoll": ("epoll", "ours"),
    "libevent": ("libevent", "plain"),
}
GROWING_LINES = {
    "Sluice poll": ("Sluice, poll", "swift"),
    "libuv": ("libuv", "peer"),
    "Sluice epoll": ("Sluice, epoll", "ours"),
    PLAIN: (PLAIN, "plain"),
}

# The pictures of the page, by their file names.
pictures = {}


def paragraph(words):
    return textwrap.fill(words, 120, break_long_words=False, break_on_hyphens=False)


def table(head, rows):
    lines = [head, ["---"] + ["--:"] * (len(head) - 1)]
    for row in rows:
        cells = [str(word) for word in row]
        bold = cells[0].startswith("Sluice")
        lines.append([f"**{cell}**" if bold else cell for cell in cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def section(title, picture, sentence, *tables):
    """`picture` is a name and the function that draws it, given words for readers who cannot see it."""
    name, draw = picture
    pictures[f"{name}.svg"] = draw(sentence)
    shown = f"![{title}: the figures of the table below]({name}.svg)"
    return "\n\n".join([f"## {title}", paragraph(sentence), shown, *tables])


def best_other(values):
    """The least of the figures that are not Sluice's, or None."""
    others = {name: value for name, value in values.items() if not name.startswith("Sluice")}
    return min(others.items(), key=lambda item: item[1]) if others else None


def article(noun):
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def leanest(values):
    """A clause about the least of the libraries' figures. Empty if there is no other library."""
    other = best_other({n: value for n, value in values.items() if not n.startswith("plain")})
    return (
        f"; of the other libraries, {other[0]} has the least, {number(other[1])}" if other else ""
    )


def load_section(load, figures):
    medians = {name: figure["ratio"][0] for name, figure in figures.items()}
    peers = {
        name: value for name, value in medians.items() if not name.startswith(("plain", "Sluice"))
    }
    sentence = (
        f"Sluice in C on epoll uses {medians[OURS]:.2f} times the CPU time of plain epoll for each "
        f"{load.operation}, in Swift {medians['Sluice Swift, epoll']:.2f} times"
    )
    if peers:
        least = min(peers, key=peers.get)
        most = max(peers, key=peers.get)
        sentence += (
            f"; of the libraries, {least} uses the least, {peers[least]:.2f}, "
            f"and {most} the most, {peers[most]:.2f}"
        )
    sentence += "."
    limited = [
        name
        for name, figure in figures.items()
        if figure["load_busy"] > 0.95 and figure["server_busy"] < 0.9
    ]
    if limited:
        sentence += (
            " The load generator was the limit, and the server waited for it, with: "
            + ", ".join(sorted(limited))
            + "."
        )
    rows = [
        (
            name,
            number(figure["cpu_us"][0]),
            f"{figure['ratio'][0]:.2f}",
            f"{figure['ratio'][1]:.2f} to {figure['ratio'][2]:.2f}",
            f"{figure['server_busy']:.0%}",
            f"{figure['load_busy']:.0%}",
        )
        for name, figure in sorted(figures.items(), key=lambda item: item[1]["ratio"][0])
    ]
    head = [
        "server",
        f"CPU µs of {article(load.operation)}",
        "ratio",
        "least to most",
        "server busy",
        "load busy",
    ]
    return section(load.title, (load.key, lambda told: plots.ratios(figures, load.target, told)), sentence,
                   table(head, rows))


def bulk_section(results):
    costs, waits = results["bulk"]["costs"], results["bulk"]["waits"]
    ours, plain = waits[OURS], waits[PLAIN]
    least, most = (pick(figure["ratio"][0] for figure in costs.values()) for pick in (min, max))
    sentence = (
        f"Where much is under way, Sluice in C on epoll uses {least:.2f} to {most:.2f} times the CPU time of plain "
        "epoll for each MiB. Echo has up to 1 MiB under way on each connection, in both directions, written 64 KiB "
        "at a time; upload and download have 4 MiB. A proxy passes an echo on. By hand it copies through one buffer, "
        "or moves with splice(2) and never sees the bytes. Of 100 quiet connections beside 4 such echoes, one that "
        f"says a byte has it back after {number(ours['p50'][0])} µs (median), and 1 in 100 waits over "
        f"{number(ours['p99'][0])} µs; with plain epoll by hand, which stays with a connection until it is drained, "
        f"it is {number(plain['p50'][0])} and {number(plain['p99'][0])} µs."
    )
    rows = [
        (title, number(figure["plain"][0]), number(figure["ours"][0]), beside(figure["ratio"]))
        for title, figure in costs.items()
    ]
    waited = [
        (name, *(beside(figure[each], number) for each in ("p50", "p99")))
        for name, figure in waits.items()
    ]
    values = {title: figure["ratio"][0] for title, figure in costs.items()}
    picture = ("bulk", lambda told: plots.bar_plot(
        values, "CPU time for each MiB, as a multiple of plain epoll's", told))
    return section(
        "Much data",
        picture,
        sentence,
        table(["CPU ms for each MiB", "plain epoll", "Sluice C", "ratio"], rows),
        "How long a quiet connection waits for its echo, in µs, median and least to most of the rounds:",
        table(["server", "half wait longer than", "1 in 100 waits longer than"], waited),
    )


def counts_section(results):
    counts = results["counts"]
    echoes = {name: figure["instructions"] for name, figure in counts.items()}
    how = "callgrind, since this machine gives no hardware counters"
    if results["hardware_counters"] and "echo-64" in results["loads"]:
        how = "perf_event_open"
        measured = results["loads"]["echo-64"]
        echoes = {name: figure["instructions"][0] for name, figure in measured.items()}
    sentence = (
        f"Counted by {how}: Sluice in C on epoll executes {number(echoes[OURS])} instructions in "
        f"user space for an echo, in Swift {number(echoes['Sluice Swift, epoll'])}, and plain epoll "
        f"{number(echoes[PLAIN])}{leanest(echoes)}."
    )
    heads = {"connection": "a connection's life", "calls": "system calls an echo"}
    heads = {key: head for key, head in heads.items() if key in counts[OURS]}
    uncounted = [name for name in results["loads"].get("echo-64", {}) if name not in counts]
    if uncounted:
        sentence += f" Not counted, since callgrind cannot run them: {', '.join(uncounted)}."
    rows = [
        (name, number(echoes[name]), *(number(figure[key]) for key in heads))
        for name, figure in sorted(counts.items(), key=lambda item: echoes[item[0]])
    ]
    head = ["server", "an echo", *heads.values()]
    picture = ("instructions", lambda told: plots.bar_plot(
        echoes, "user-space instructions an echo", told, logarithmic=True))
    return section(
        "Instructions and system calls, 64 connections", picture, sentence, table(head, rows)
    )


def idle_section(results):
    idle = results["idle"]
    sentence = (
        f"A connection that has echoed once and is idle costs Sluice in C {number(idle[OURS])} bytes of "
        f"resident memory and in Swift {number(idle['Sluice Swift, epoll'])}{leanest(idle)}. "
        "What the kernel holds is the same for all and not counted."
    )
    rows = [(name, number(value)) for name, value in sorted(idle.items(), key=lambda item: item[1])]
    picture = ("idle", lambda told: plots.bar_plot(idle, "bytes", told, logarithmic=True))
    return section(
        "Memory of an idle connection", picture, sentence, table(["server", "bytes"], rows)
    )


def dispatch_section(results):
    few, everyone = results["dispatch"]["few"], results["dispatch"]["all"]
    most = max(few["Sluice epoll"], key=int)
    poll, epoll = few["Sluice poll"][most][0], few["Sluice epoll"][most][0]
    poll_all, epoll_all = everyone["Sluice poll"][most][0], everyone["Sluice epoll"][most][0]
    sentence = (
        f"With 8 of {int(most):,} descriptors active an event costs {number(poll / 1000)} µs on poll and "
        f"{number(epoll / 1000)} µs on epoll; with all of them active {number(poll_all / 1000)} µs and "
        f"{number(epoll_all / 1000)} µs. A ring of pipes, a byte read and one written for each event "
        "included, which are most of the least of these."
    )
    sizes = sorted(few["Sluice epoll"], key=int)
    tables = []
    for activity, title in (("few", "8 active"), ("all", "all active")):
        rows = [
            (name, *(number(line[size][0] / 1000) for size in sizes))
            for name, line in results["dispatch"][activity].items()
        ]
        tables.append(f"CPU microseconds an event, {title}:")
        tables.append(table(["", *(f"{int(size):,}" for size in sizes)], rows))
    picture = ("dispatch", lambda told: plots.dispatch(results["dispatch"], LINES, told))
    return section(
        "Dispatch: time of an event, by number of descriptors", picture, sentence, *tables
    )


def growth_section(results):
    growth = results["growth"]
    sizes = sorted(growth[PLAIN], key=int)
    least, most = sizes[0], sizes[-1]

    def grown(name):
        return f"{growth[name][most]['ns'][0] / growth[name][least]['ns'][0]:.2f}"

    sentence = (
        f"From {int(least):,} to {int(most):,} descriptors, of which 8 are active, the cost of an event grows to "
        f"{grown('Sluice epoll')} times with Sluice's poller on epoll, {grown('Sluice loop')} times with its loop "
        f"and {grown(PLAIN)} times with plain epoll; on poll it grows to {grown('Sluice poll')} times. Each "
        "descriptor is an eventfd. An event is a read of one, and a write of the next."
    )
    if int(most) < 100_000:
        sentence += f" A process may have no more than {results['machine']['descriptors of a process']} of them here."
    heads = [f"{int(size):,}" for size in sizes]
    microseconds = [
        (name, *(number(line[size]["ns"][0] / 1000) for size in sizes))
        for name, line in growth.items()
    ]
    ratios = [
        (name, *(beside(line[size]["ratio"]) for size in sizes)) for name, line in growth.items()
    ]
    lines = {
        name: {size: figure["ns"] for size, figure in line.items()} for name, line in growth.items()
    }
    picture = ("growth", lambda told: plots.growth(lines, GROWING_LINES, told))
    return section(
        "Growth of an event's cost",
        picture,
        sentence,
        "CPU microseconds an event, 8 active, by number of descriptors:",
        table(["", *heads], microseconds),
        "As a multiple of plain epoll's with as many, median and least to most:",
        table(["", *heads], ratios),
    )


def beside(figures, text="{:.2f}".format):
    """A figure and its spread, for a cell of a table."""
    middle, least, most = map(text, figures)
    return f"{middle} ({least} to {most})"


def loops_section(results):
    loops = results["loops"]
    ours = loops[OURS]
    sentence = (
        f"Two loops on two cores do {ours['clock'][0]:.2f} times the work of one on one with Sluice in C, and "
        f"{loops[PLAIN]['clock'][0]:.2f} times with plain epoll, whose figure is what the machine allows. Each "
        "core also has a load generator. In C a loop is a process, in Swift and in Go it is a thread. What else "
        "runs on the machine counts against the figure by the clock, and not against that by CPU time."
    )
    rows = [
        (name, beside(figure["clock"]), beside(figure["ratio"]), beside(figure["cpu"]))
        for name, figure in loops.items()
    ]
    head = ["server", "times one loop, by the clock", "beside plain epoll", "times one loop, by CPU time"]
    values = {name: figure["clock"][0] for name, figure in loops.items()}
    picture = ("loops", lambda told: plots.bar_plot(
        values, "echoes a second on two cores, as a multiple of one core's", told))
    return section("Two loops on two cores", picture, sentence, table(head, rows))


def ready_section(results):
    ready = results["ready"]
    sentence = (
        f"With 1,000 descriptors that are always ready an event costs Sluice's poller "
        f"{number(ready['Sluice epoll'])} instructions in user space on epoll, and epoll by hand "
        f"{number(ready[PLAIN])}{leanest(ready)}."
    )
    rows = [(name, number(value)) for name, value in sorted(ready.items(), key=lambda row: row[1])]
    picture = ("ready", lambda told: plots.bar_plot(ready, "user-space instructions an event", told))
    return section("Instructions of an event", picture, sentence, table(["", "instructions"], rows))


def timers_section(results):
    timers = results["timers"]
    operations = ["add", "cancel", "fire", "reset"]
    panels = {
        operation: {name: figure[operation]["instructions"] for name, figure in timers.items()}
        for operation in operations
    }
    words = []
    for operation in operations:
        other = best_other(panels[operation])
        if other:
            ours = number(panels[operation]["Sluice"])
            words.append(f"{operation} {ours} against {number(other[1])} ({other[0]})")
    sentence = (
        "By public calls, user instructions of Sluice's timers against the leanest other: "
        + (", ".join(words) or "none is there")
        + "."
    )
    rows = [
        (
            name,
            *(
                f"{number(figure[operation]['instructions'])} ({number(figure[operation]['ns'][0])})"
                for operation in operations
            ),
            number(figure["bytes"]),
        )
        for name, figure in timers.items()
    ]
    head = ["", *(f"{operation} (ns)" for operation in operations), "bytes"]
    picture = ("timers", lambda told: plots.bar_panels(panels, 2, lambda _: "user instructions", told))
    count = "100,000" if results["quick"] else "1 million"
    return section(f"Timers, {count}", picture, sentence, table(head, rows))


def posts_section(results):
    posts = results["posts"]
    ours = posts["Sluice"]
    sentence = (
        f"A post costs Sluice {number(ours['flood_ns'][0])} ns in a flood, and each is delivered; "
        f"it wakes a sleeping loop in {number(ours['wake_ns'][0] / 1000)} µs (median). The others "
        "let many posts stand as one, but for the plain eventfd."
    )
    rows = [
        (
            name,
            number(figure["flood_ns"][0]),
            f"{number(figure['flood_ns'][1])} to {number(figure['flood_ns'][2])}",
            f"{figure['seen']:.2%}",
            number(figure["wake_ns"][0] / 1000),
            f"{number(figure['wake_ns'][1] / 1000)} to {number(figure['wake_ns'][2] / 1000)}",
        )
        for name, figure in posts.items()
    ]
    head = ["", "ns a post", "least to most", "seen by the loop", "wake-up µs", "least to most"]
    panels = {
        "flood": {name: figure["flood_ns"][0] for name, figure in posts.items()},
        "wake-up": {name: figure["wake_ns"][0] / 1000 for name, figure in posts.items()},
    }
    units = {"flood": "wall nanoseconds a post", "wake-up": "microseconds, median"}
    picture = ("posts", lambda told: plots.bar_panels(panels, 2, units.get, told))
    return section("Posts from another thread", picture, sentence, table(head, rows))


def queues_section(results):
    queues = results["queues"]
    titles = {"append": "append 1 KiB", "take": "take 4 KiB", "move": "move 64 KiB"}
    panels = {
        title: {name: figures[operation] for name, figures in queues.items()}
        for operation, title in titles.items()
    }
    words = [f"{title} {number(panels[title]['Sluice'])}" for title in panels]
    sentence = f"User instructions of Sluice's byte queue: {', '.join(words)}"
    if "evbuffer" in queues:
        words = [f"{number(panels[title]['evbuffer'])}" for title in panels]
        sentence += f"; of libevent's evbuffer: {', '.join(words)}"
    rows = [(name, *(number(figures[o]) for o in titles)) for name, figures in queues.items()]
    picture = ("queues", lambda told: plots.bar_panels(panels, 3, lambda _: "user instructions", told))
    return section("Byte queue", picture, sentence + ".", table(["", *titles.values()], rows))


def io_uring_section(results):
    """What io_uring by hand would save, and why Sluice does not use it. Empty if not measured."""
    loads = {load: results["loads"][load.key] for load in LOADS
             if IO_URING in results["loads"].get(load.key, {})}
    small = [figures[IO_URING]["ratio"][0] for load, figures in loads.items()
             if load.size == 64 and load.depth == 1 and load.kind != "churn" and load.connections > 1]
    if not small:
        return ""
    told = (
        f"For small messages on many connections io_uring by hand takes {min(small):.2f} to {max(small):.2f} times "
        "the CPU time of plain epoll. Sluice stays with epoll all the same. What io_uring saves are system calls, "
        "which matters where messages are small and many are ready at once. It is often forbidden, and it needs a new "
        "kernel, so epoll would have to stay beside it. It needs a buffer for each connection that may be ready at "
        "once, where one serves a whole loop on epoll, and what is under way must be waited for before a handle is "
        "gone. [Benchmarks](../README.md#io_uring) has more on it."
    )
    rows = [(load.title, beside(figures[IO_URING]["ratio"]), beside(figures[OURS]["ratio"]))
            for load, figures in loads.items()]
    head = ["CPU time beside plain epoll", "io_uring by hand", "Sluice C, epoll"]
    return "\n\n".join(["## io_uring", paragraph(told), table(head, rows)])


def losses(results):
    """Where something other than Sluice costs less than Sluice in C on epoll, one line each."""
    lines = []
    for load in LOADS:
        figures = results["loads"].get(load.key)
        if not figures:
            continue
        medians = {name: figure["ratio"][0] for name, figure in figures.items()}
        ours = medians[OURS]
        # io_uring by hand would come before all others. It has a section of its own.
        rivals = [best_other({n: value for n, value in medians.items() if n != IO_URING})]
        rivals += [(IO_URING, medians[IO_URING])] if IO_URING in medians else []
        cheaper = [f"{name} {value:.2f}" for name, value in rivals if ours > value * RESOLVED]
        if cheaper:
            lines.append(f"{load.title}: CPU ratio {ours:.2f}, {', '.join(cheaper)}.")
        elif load.target and ours > load.target:
            lines.append(f"{load.title}: CPU ratio {ours:.2f}, over the target of {load.target:g}.")
        for backend in ("poll", "select"):
            if f"plain {backend}" not in figures:
                continue
            ours = figures[f"Sluice C, {backend}"]["ratio"][0]
            plain = figures[f"plain {backend}"]["ratio"][0]
            if ours > plain * RESOLVED:
                lines.append(
                    f"{load.title}, on {backend}: CPU ratio {ours:.2f}, by hand {plain:.2f}."
                )
    groups = []
    if "counts" in results:
        for key, title in (("instructions", "an echo"), ("connection", "a connection's life")):
            values = {
                name: figure[key] for name, figure in results["counts"].items() if key in figure
            }
            groups.append((f"User instructions of {title}", OURS, values))
    if "idle" in results:
        groups.append(("Bytes of an idle connection", OURS, results["idle"]))
    if "ready" in results:
        groups.append(("User instructions of an event", "Sluice epoll", results["ready"]))
    for operation in ("add", "cancel", "fire", "reset"):
        values = {n: f[operation]["instructions"] for n, f in results.get("timers", {}).items()}
        groups.append((f"User instructions to {operation} a timer", "Sluice", values))
    values = {name: figure["flood_ns"][0] for name, figure in results.get("posts", {}).items()}
    groups.append(("Nanoseconds of a post", "Sluice", values))
    values = {name: figure["wake_ns"][0] for name, figure in results.get("posts", {}).items()}
    groups.append(("Nanoseconds until a post wakes a loop", "Sluice", values))
    for title, mine, values in groups:
        other = best_other(values)
        if other and values[mine] > other[1] * RESOLVED:
            lines.append(f"{title}: {number(values[mine])}, {other[0]} {number(other[1])}.")
    return lines


def machine_section(results):
    lines = [table(["machine", ""], list(results["machine"].items()))]
    if results["left_out"]:
        lines.append(f"Left out, since not built or not able to start: {', '.join(results['left_out'])}.")
    if results.get("loads_left_out"):
        titles = "; ".join(results["loads_left_out"])
        lines.append(f"Left out, since a process may not have so many descriptors: {titles}.")
    return "\n\n".join(lines)


def page(results):
    quick = "A quick run: rough, and not to be quoted. " if results["quick"] else ""
    intro = (
        f"{quick}Measured on {results['date']}. Each server is pinned to one core and the load generator, "
        "which checks every byte, to another. CPU time drifts, so it counts as a ratio to plain epoll by "
        f"hand measured just before and after; given is the median of {results['rounds']} rounds, in a "
        "random order each, with the least and the most. Differences under 5 % are not resolved. Requests a "
        "second are not given: over loopback they measure the load generator as much as the server. "
        "[Benchmarks](../README.md) says how to read this."
    )
    parts = ["# What Sluice costs beside others", paragraph(intro), machine_section(results)]
    lost = losses(results)
    if lost:
        parts += ["## Where Sluice costs more", "\n".join(f"- {line}" for line in lost)]
    for load in LOADS:
        if load.key in results["loads"]:
            parts.append(load_section(load, results["loads"][load.key]))
    parts.append(io_uring_section(results))
    makers = {
        "bulk": bulk_section,
        "counts": counts_section,
        "idle": idle_section,
        "dispatch": dispatch_section,
        "growth": growth_section,
        "loops": loops_section,
        "ready": ready_section,
        "timers": timers_section,
        "posts": posts_section,
        "queues": queues_section,
    }
    parts.extend(make(results) for name, make in makers.items() if results.get(name))
    return "\n\n".join(filter(None, parts)) + "\n"


def main():
    directory = pathlib.Path(sys.argv[-1])
    results = json.loads((directory / "results.json").read_text())
    files = {"README.md": page(results)}
    files |= {name: picture.svg() for name, picture in pictures.items()}
    if "--check" in sys.argv[1:]:
        old = [name for name, text in files.items()
               if not (directory / name).exists() or (directory / name).read_text() != text]
        for name in old:
            print(f"report: {directory / name} is old; run Benchmarks/report.py {directory}")
        sys.exit(bool(old))
    for name, text in files.items():
        (directory / name).write_text(text)
    print(f"written: {directory / 'README.md'}")


if __name__ == "__main__":
    main()
