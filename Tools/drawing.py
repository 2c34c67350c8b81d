"""Drawings as SVG: boxes, arrows, words, bars and lines. Tools/figures and the benchmarks' report use it.

A figure has its own background, light or dark as the reader's system asks for. So it can be read on any
page. Decided against: a transparent background, because black text could be on a dark page.
"""

import html

STYLE = """
text { font: 14px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; fill: #1f2328 }
.mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px }
.small { font-size: 12px; fill: #59636e }
.head { font-weight: 600 }
.page { fill: #ffffff; stroke: #d1d9e0 }
.box { fill: #f6f8fa; stroke: #59636e }
.area { fill: none; stroke: #59636e; stroke-dasharray: 5 4 }
.hot { fill: #ffe9d6; stroke: #bc4c00 }
.good { fill: #dafbe1; stroke: #1a7f37 }
.bad { fill: #ffebe9; stroke: #cf222e }
.line { fill: none; stroke: #59636e; stroke-width: 1.5 }
.hotline { fill: none; stroke: #bc4c00; stroke-width: 2 }
.goodline { fill: none; stroke: #1a7f37; stroke-width: 2 }
.badline { fill: none; stroke: #cf222e; stroke-width: 2 }
.tip { fill: #59636e } .hottip { fill: #bc4c00 } .goodtip { fill: #1a7f37 } .badtip { fill: #cf222e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 }
.page { fill: #0d1117; stroke: #3d444d } .box { fill: #1b222c; stroke: #9198a1 }
.area { stroke: #9198a1 } .hot { fill: #3d2410; stroke: #f0883e }
.good { fill: #12311c; stroke: #3fb950 } .bad { fill: #3c1618; stroke: #f85149 }
.line { stroke: #9198a1 } .hotline { stroke: #f0883e } .goodline { stroke: #3fb950 }
.badline { stroke: #f85149 }
.tip { fill: #9198a1 } .hottip { fill: #f0883e } .goodtip { fill: #3fb950 } .badtip { fill: #f85149 }
}
"""

# The colours of figures with bars and curves.
CHART = """.grid { stroke: #d1d9e0 }
.ours { fill: #0969da; stroke: #0969da } .swift { fill: #1b7c83; stroke: #1b7c83 }
.peer { fill: #bc4c00; stroke: #bc4c00 } .plain { fill: #6e7781; stroke: #6e7781 }
.red { fill: #cf222e; stroke: #cf222e }
@media (prefers-color-scheme: dark) {
.grid { stroke: #3d444d }
.ours { fill: #4493f8; stroke: #4493f8 } .swift { fill: #39c5cf; stroke: #39c5cf }
.peer { fill: #f0883e; stroke: #f0883e } .plain { fill: #9198a1; stroke: #9198a1 }
.red { fill: #f85149; stroke: #f85149 }
}
"""


class Figure:
    """A drawing of boxes, arrows and words. `told` says what it shows, for those who cannot see it."""

    def __init__(self, width, height, told):
        self.width, self.height, self.told = width, height, told
        self.parts = []
        self.style = STYLE

    def add(self, part):
        self.parts.append(part)

    def text(self, x, y, words, kind="", anchor="start"):
        self.add(f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">'
                 f"{html.escape(words, quote=False)}</text>")

    def box(self, x, y, width, height, words="", kind="box", text=""):
        """A box with lines of words in its middle."""
        self.add(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" class="{kind}"/>')
        lines = words.split("\n") if words else []
        top = y + height / 2 + 5 - 9 * (len(lines) - 1)
        for number, line in enumerate(lines):
            self.text(x + width / 2, top + 18 * number, line, text, "middle")

    def arrow(self, *points, kind=""):
        """A line through points, with a tip at the last point."""
        (fx, fy), (x, y) = points[-2:]
        length = ((x - fx) ** 2 + (y - fy) ** 2) ** 0.5
        ux, uy = (x - fx) / length, (y - fy) / length
        stop = (x - 8 * ux, y - 8 * uy)
        path = " ".join(f"{a:g},{b:g}" for a, b in (*points[:-1], stop))
        self.add(f'<polyline points="{path}" class="{kind}line"/>')
        tip = [(x, y), (x - 9 * ux - 4.5 * uy, y - 9 * uy + 4.5 * ux),
               (x - 9 * ux + 4.5 * uy, y - 9 * uy - 4.5 * ux)]
        self.add(f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in tip)}"'
                 f' class="{kind}tip"/>')

    def line(self, *points, kind=""):
        path = " ".join(f"{a:g},{b:g}" for a, b in points)
        self.add(f'<polyline points="{path}" class="{kind}line"/>')

    def bar(self, x, y, width, height, kind):
        self.style = STYLE + CHART
        self.add(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}"/>')

    def dot(self, x, y, radius, kind):
        self.style = STYLE + CHART
        self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}"/>')

    def stroke(self, points, width, kind):
        """A line of a kind that has a colour, such as "grid" or "ours"."""
        self.style = STYLE + CHART
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        self.add(f'<polyline points="{path}" class="{kind}" style="fill:none;stroke-width:{width}"/>')

    def svg(self):
        w, h = self.width, self.height
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}"'
                f' height="{h}" role="img">\n<title>{html.escape(self.told)}</title>\n'
                f"<style>{self.style}</style>\n"
                f'<rect x="0.5" y="0.5" width="{w - 1}" height="{h - 1}" rx="8" class="page"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")
