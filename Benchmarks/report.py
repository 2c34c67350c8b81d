#!/usr/bin/env python3
"""Makes a report's page, README.md, and its pictures from its results.json: report.py DIRECTORY.

    report.py --check DIRECTORY    fails, and names each that is not as it would be made now

Every sentence is made from the figures, so that it cannot say what they do not.
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
RESOLVED = 1.05  # CPU times nearer to each other than that are the same
LINES = {
    "Sluice select": ("select", "red"),
    "Sluice poll": ("poll", "peer"),
    "Sluice epoll": ("epoll", "ours"),
    "libevent": ("libevent", "plain"),
}

# The pictures of the page, by the names of their files.
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
    """`picture` is a name, and what draws it, given the words for who cannot see it."""
    name, draw = picture
    pictures[f"{name}.svg"] = draw(sentence)
    shown = f"![{title}: the figures of the table below]({name}.svg)"
    return "\n\n".join([f"## {title}", paragraph(sentence), shown, *tables])


def best_other(values):
    """The least of those that are not Sluice's, or None."""
    others = {name: value for name, value in values.items() if not name.startswith("Sluice")}
    return min(others.items(), key=lambda item: item[1]) if others else None


def article(noun):
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def leanest(values):
    """A clause on the least of the libraries' figures; nothing where there is no other library."""
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


def losses(results):
    """Where something that is no Sluice costs less than Sluice in C on epoll, one line each."""
    lines = []
    for load in LOADS:
        figures = results["loads"].get(load.key)
        if not figures:
            continue
        name, least = best_other({n: figure["ratio"][0] for n, figure in figures.items()})
        ours = figures[OURS]["ratio"][0]
        if ours > least * RESOLVED:
            lines.append(f"{load.title}: CPU ratio {ours:.2f}, {name} {least:.2f}.")
        elif load.target and ours > load.target:
            lines.append(f"{load.title}: CPU ratio {ours:.2f}, over the target of {load.target:g}.")
        for backend in ("poll", "select"):
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
        lines.append(f"Left out, since not built: {', '.join(results['left_out'])}.")
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
    makers = {
        "counts": counts_section,
        "idle": idle_section,
        "dispatch": dispatch_section,
        "ready": ready_section,
        "timers": timers_section,
        "posts": posts_section,
        "queues": queues_section,
    }
    parts.extend(make(results) for name, make in makers.items() if name in results)
    return "\n\n".join(parts) + "\n"


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
