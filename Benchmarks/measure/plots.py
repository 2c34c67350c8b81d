"""The report's pictures, by matplotlib. Every label stands at what it names; there is no legend."""

import io

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (after the choice of how to draw)
from matplotlib import ticker  # noqa: E402

SLUICE, SWIFT, PEER, PLAIN = "#1c5dad", "#2a9d8f", "#c2741b", "#6b6b6b"
LINES = {
    "select": "#b5352c",
    "poll": "#c2741b",
    "epoll": "#1c5dad",
    "libevent": "#6b6b6b",
}
WIDTH = 7.2  # inches, of 100 pixels each on a page

pyplot.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "svg.fonttype": "none",
        "svg.hashsalt": "sluice",
        "figure.constrained_layout.use": True,
    }
)


def colour(name):
    if name.startswith("Sluice Swift"):
        return SWIFT
    if name.startswith("Sluice"):
        return SLUICE
    return PLAIN if name.startswith("plain") or name == "eventfd" else PEER


def number(value):
    """Three figures or so, as a person would write them."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def as_svg(figure):
    """The picture as an element that can stand in a page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    text = out.getvalue()
    return text[text.index("<svg") :]


def plain_ticks(axis):
    """Numbers at a logarithmic axis as they are, at 1, 2 and 5."""
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(ticker.NullFormatter())
    axis.set_minor_locator(ticker.NullLocator())


def ratios(figures, target):
    """A dot for each server's median, a line from its least to its greatest, best at the top."""
    rows = sorted(figures.items(), key=lambda item: item[1]["ratio"][0], reverse=True)
    greatest = max(figure["ratio"][2] for _, figure in rows)
    figure, axes = pyplot.subplots(figsize=(WIDTH, 0.9 + 0.27 * len(rows)))
    axes.axvline(1, color=PLAIN, linewidth=0.8)
    if target:
        axes.axvline(target, color=SLUICE, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(
            f"target {target:g}",
            (target, len(rows) - 0.4),
            xytext=(4, 0),
            textcoords="offset points",
            color=SLUICE,
            fontsize=8,
        )
    for place, (name, data) in enumerate(rows):
        median, least, most = data["ratio"]
        axes.plot([least, most], [place, place], color=colour(name), linewidth=2, alpha=0.45)
        axes.plot(median, place, "o", color=colour(name), markersize=6)
        axes.annotate(
            f"{median:.2f}",
            (most, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=colour(name),
        )
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    for label, (name, _) in zip(axes.get_yticklabels(), rows):
        label.set_color(colour(name))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(rows) + 0.1)
    if greatest > 4:
        axes.set_xscale("log")
        plain_ticks(axes.xaxis)
    axes.margins(x=0.12)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("CPU time of an operation, as a multiple of plain epoll's")
    return as_svg(figure)


def bars(axes, values, unit, logarithmic=False):
    """Horizontal bars, the least at the top, each with its figure at its end."""
    rows = sorted(values.items(), key=lambda item: item[1], reverse=True)
    names = [name for name, _ in rows]
    # A logarithmic axis has no zero: what is under 1 has the shortest bar, and its own figure.
    lengths = [max(value, 1) if logarithmic else value for _, value in rows]
    axes.barh(names, lengths, color=[colour(name) for name in names], height=0.62)
    for place, (_, value) in enumerate(rows):
        axes.annotate(
            number(value),
            (lengths[place], place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    for label, name in zip(axes.get_yticklabels(), names):
        label.set_color(colour(name))
    axes.tick_params(axis="y", length=0)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(min(lengths) / 2, max(lengths) * 3)
        plain_ticks(axes.xaxis)
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1,)))
    else:
        axes.set_xlim(0, max(max(lengths) * 1.18, 1e-9))
    axes.set_xlabel(unit)


def bar_plot(values, unit, logarithmic=False):
    figure, axes = pyplot.subplots(figsize=(WIDTH, 0.8 + 0.27 * len(values)))
    bars(axes, values, unit, logarithmic)
    return as_svg(figure)


def bar_panels(panels, columns, unit_of):
    """Small ones side by side: {title: {name: value}}."""
    rows = -(-len(panels) // columns)
    tallest = max(len(values) for values in panels.values())
    height = rows * (0.95 + 0.27 * tallest)
    figure, grid = pyplot.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False)
    for axes, (title, values) in zip(grid.flat, panels.items()):
        bars(axes, values, unit_of(title))
        axes.set_title(title)
    return as_svg(figure)


def end_labels(axes, ends, least_gap):
    """Names at the ends of lines, moved apart (on a logarithmic axis) where they would overlap."""
    placed = []
    for place, name, shade in sorted(ends):
        at = place
        if placed and at < placed[-1] * least_gap:
            at = placed[-1] * least_gap
        placed.append(at)
        axes.annotate(
            name,
            (1.02, at),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            color=shade,
            annotation_clip=False,
        )


def dispatch(results, names, path=None):
    """Time of an event against the number of descriptors: a few active, and all active.

    `names` has for each line its label, its colour and its style. With a path, a picture is written
    there instead of returned.
    """
    figure, (few, all_active) = pyplot.subplots(1, 2, figsize=(WIDTH, 3.5), sharey=True)
    titles = {"few": "8 of them active", "all": "all of them active"}
    for axes, activity in ((few, "few"), (all_active, "all")):
        ends = []
        for name, (label, shade, style) in names.items():
            if name not in results[activity]:
                continue
            line = {int(size): value for size, value in results[activity][name].items()}
            sizes = sorted(line)
            axes.plot(
                sizes,
                [line[size][0] / 1000 for size in sizes],
                style,
                color=shade,
                linewidth=1.8,
                markersize=3.5,
            )
            ends.append((line[sizes[-1]][0] / 1000, label, shade))
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=9)
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        plain_ticks(axes.yaxis)
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.set_xlabel("descriptors waited for")
        axes.set_title(titles[activity])
        end_labels(axes, ends, 1.19)
    few.set_ylabel("CPU microseconds an event")
    few.set_ylim(top=few.get_ylim()[1] * 1.2)
    if path is None:
        return as_svg(figure)
    figure.savefig(path, dpi=160)
    pyplot.close(figure)
    return None
