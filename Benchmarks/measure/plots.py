"""The report's pictures. Every label stands beside what it names, so there is no legend."""

import math
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "Tools"))
from drawing import Figure  # noqa: E402

WIDTH = 760
NAMES = 170  # pixels for names, at the left
ROW = 24


def colour(name):
    """The colour kind of a drawing's parts. It says whose figure it is."""
    if name.startswith("Sluice Swift"):
        return "swift"
    if name.startswith("Sluice"):
        return "ours"
    return "plain" if name.startswith("plain") or name == "eventfd" else "peer"


def number(value):
    """About three digits, as a person would write them."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


class Axis:
    """Where a value is between two pixels. The axis is logarithmic if `least` is over 0."""

    def __init__(self, start, end, least, most):
        self.start, self.end, self.least, self.most = start, end, least, most

    def place(self, value):
        if self.least > 0:
            share = math.log(max(value, self.least) / self.least) / math.log(self.most / self.least)
        else:
            share = value / self.most
        return self.start + share * (self.end - self.start)

    def ticks(self):
        """Some five round numbers of the axis."""
        if self.least > 0:
            decades = math.log10(self.most / self.least)
            steps = (1,) if decades > 3 else (1, 3) if decades > 1.5 else (1, 2, 5)
            powers = range(math.floor(math.log10(self.least)), math.ceil(math.log10(self.most)) + 1)
            ticks = [step * 10.0**power for power in powers for step in steps]
        else:
            step = 10.0 ** math.floor(math.log10(self.most))
            step = next(each for each in (step / 5, step / 2, step, step * 2) if self.most / each < 7)
            ticks = [step * count for count in range(int(self.most / step) + 1)]
        return [tick for tick in ticks if self.least <= tick <= self.most]


def grid(figure, axis, top, bottom, unit):
    for tick in axis.ticks():
        x = axis.place(tick)
        figure.stroke([(x, top), (x, bottom)], 1, "grid")
        figure.text(round(x), bottom + 16, f"{tick:,.4g}" if tick < 1000 else f"{tick:,.0f}", "small", "middle")
    figure.text((axis.start + axis.end) / 2, bottom + 34, unit, "small", "middle")


def ratios(figures, target, told):
    """A dot for each server's median, and a line from its least to its greatest, with the best at the top."""
    rows = sorted(figures.items(), key=lambda item: item[1]["ratio"][0])
    greatest = max(data["ratio"][2] for _, data in rows)
    least = min(data["ratio"][1] for _, data in rows)
    top, bottom = 24, 30 + ROW * len(rows)
    figure = Figure(WIDTH, bottom + 46, told)
    axis = Axis(NAMES + 10, WIDTH - 70, least / 1.1 if greatest > 4 else 0, greatest)
    grid(figure, axis, top, bottom, "CPU time of an operation, as a multiple of plain epoll's")
    figure.stroke([(axis.place(1), top), (axis.place(1), bottom)], 1.5, "plain")
    if target:
        figure.stroke([(axis.place(target), top), (axis.place(target), bottom)], 1.5, "ours")
        figure.text(round(axis.place(target)), 18, f"target {target:g}", "small", "middle")
    for place, (name, data) in enumerate(rows):
        median, low, high = data["ratio"]
        y = top + ROW * place + 18
        figure.text(NAMES, y + 4, name, "", "end")
        figure.stroke([(axis.place(low), y), (axis.place(high), y)], 2, colour(name))
        figure.dot(axis.place(median), y, 5, colour(name))
        figure.text(round(axis.place(high)) + 10, y + 4, f"{median:.2f}", "small")
    return figure


def bars(figure, left, width, top, values, unit, logarithmic=False, names=NAMES):
    """Horizontal bars, each with its figure at its end. The least is at the top."""
    rows = sorted(values.items(), key=lambda item: item[1])
    most = max(max(values.values()), 1e-9)
    axis = Axis(left + names + 10, left + width - 70, 1 if logarithmic else 0, most)
    for place, (name, value) in enumerate(rows):
        y = top + ROW * place
        figure.text(left + names, y + 14, name, "", "end")
        # A logarithmic axis has no zero. A value under 1 has the shortest bar, and its own figure.
        length = max(axis.place(max(value, axis.least)) - axis.start, 2)
        figure.bar(axis.start, y + 2, length, ROW - 8, colour(name))
        figure.text(round(axis.start + length) + 6, y + 14, number(value), "small")
    scale = unit + (", logarithmic" if logarithmic else "")
    figure.text(axis.start, top + ROW * len(rows) + 18, scale, "small")


def bar_plot(values, unit, told, logarithmic=False):
    figure = Figure(WIDTH, 44 + ROW * len(values), told)
    bars(figure, 10, WIDTH - 10, 14, values, unit, logarithmic)
    return figure


def bar_panels(panels, columns, unit_of, told):
    """Small panels of bars, side by side: {title: {name: value}}."""
    rows = -(-len(panels) // columns)
    height = 70 + ROW * max(len(values) for values in panels.values())
    width = (WIDTH - 20) / columns
    figure = Figure(WIDTH, round(rows * height) + 10, told)
    for index, (title, values) in enumerate(panels.items()):
        left, top = 10 + index % columns * width, 10 + index // columns * height
        figure.text(round(left) + 84, round(top) + 16, title, "head")
        bars(figure, round(left), round(width), round(top) + 26, values, unit_of(title), names=80)
    return figure


def apart(ends, least_gap):
    """Names at the ends of lines, moved apart if they would overlap."""
    placed = []
    for y, label, kind in sorted(ends, reverse=True):
        if placed and y > placed[-1][0] - least_gap:
            y = placed[-1][0] - least_gap
        placed.append((y, label, kind))
    return placed


def times_of(lines, names):
    return [value[0] / 1000 for name, line in lines.items() if name in names for value in line.values()]


def curves(figure, left, width, title, lines, names, y_axis):
    """Microseconds of an event against the number of descriptors, with a line for each of `names`."""
    sizes = sorted(map(int, next(iter(lines.values()))))
    x_axis = Axis(left, left + width, sizes[0], sizes[-1])
    figure.text(left, 24, title, "head")
    for tick in y_axis.ticks():
        y = y_axis.place(tick)
        figure.stroke([(left, y), (left + width, y)], 1, "grid")
        figure.text(left - 8, round(y) + 4, f"{tick:,.4g}", "small", "end")
    for size in sizes:
        figure.text(round(x_axis.place(size)), 288, f"{size:,}", "small", "middle")
    ends = []
    for name, (label, kind) in names.items():
        if name not in lines:
            continue
        line = {int(size): value[0] / 1000 for size, value in lines[name].items()}
        points = [(x_axis.place(size), y_axis.place(line[size])) for size in sizes]
        figure.stroke(points, 2, kind)
        for x, y in points:
            figure.dot(x, y, 2.5, kind)
        ends.append((points[-1][1], label, kind))
    for y, label, kind in apart(ends, 15):
        figure.text(left + width + 8, round(y) + 4, label)
    unit = "descriptors waited for; CPU microseconds an event"
    figure.text(left + width // 2, 310, unit, "small", "middle")


def dispatch(results, names, told):
    """Time of an event against the number of descriptors: with a few active, and with all active.

    `names` has the label and the kind of each line.
    """
    figure = Figure(WIDTH, 330, told)
    values = [value for lines in results.values() for value in times_of(lines, names)]
    y_axis = Axis(270, 40, min(values) / 1.3, max(values) * 1.3)
    for column, (activity, title) in enumerate((("few", "8 of them active"), ("all", "all of them active"))):
        curves(figure, 60 + 350 * column, 220, title, results[activity], names, y_axis)
    return figure


def growth(lines, names, told):
    """The same in one drawing, with more descriptors."""
    figure = Figure(WIDTH, 330, told)
    values = times_of(lines, names)
    y_axis = Axis(270, 40, min(values) / 1.3, max(values) * 1.3)
    curves(figure, 60, 560, "8 of them active", lines, names, y_axis)
    return figure
