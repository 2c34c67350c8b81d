"""The Go reference of the site: what `go doc -all` prints for the module, as one page.

go doc prints declarations as they are in the source, each with its comment below, indented by four. So the page needs
no other tool, and nothing from the network. Decided against: gomarkdoc and pkgsite, because each is a module to fetch.
"""

import html
import os
import re

from common import ROOT, run

SECTIONS = ("CONSTANTS", "VARIABLES", "FUNCTIONS", "TYPES")
OPENED = {"(": ")", "{": "}"}  # the last line of a declaration of several lines


def blocks(lines):
    """The (declaration, comment) pairs of a section. Each of the two is a list of lines."""
    at = 0
    while at < len(lines):
        if not lines[at] or lines[at].startswith(" "):
            raise ValueError(f"go doc: no declaration: {lines[at]!r}")
        end = at + 1
        if closing := OPENED.get(lines[at][-1]):
            while not lines[end - 1].startswith(closing):
                end += 1
        after = end
        while after < len(lines) and (not lines[after] or lines[after].startswith("    ")):
            after += 1
        yield lines[at:end], [line[4:] for line in lines[end:after]]
        at = after


def words(lines):
    """A comment as HTML: paragraphs, headings, lists, and code, which is indented."""
    out = []
    for part in re.split(r"\n(?:[ \t]*\n)+", "\n".join(lines).strip("\n")):
        if not part.strip():
            continue
        if re.match(r"  - ", part):
            items = re.split(r"^  - ", part, flags=re.MULTILINE)[1:]
            out.append("<ul>" + "".join(f"<li>{html.escape(' '.join(each.split()))}</li>" for each in items) + "</ul>")
        elif part.startswith(("    ", "\t")):
            code = re.sub("^    ", "", html.escape(part), flags=re.MULTILINE)
            # Code with an empty line in it is one block.
            if out and out[-1].endswith("</code></pre>"):
                out[-1] = out[-1].removesuffix("</code></pre>") + f"\n\n{code}</code></pre>"
            else:
                out.append(f"<pre><code>{code}</code></pre>")
        elif part.startswith("# "):
            out.append(f"<h3>{html.escape(part[2:])}</h3>")
        else:
            out.append("<p>" + html.escape(" ".join(part.split())) + "</p>")
    return "\n".join(out)


def name_of(declaration):
    """The heading of a declaration, which is also its anchor. None for constants and variables."""
    if method := re.match(r"func \(\w* ?\*?(\w+)\) (\w+)\(", declaration):
        return ".".join(method.groups())
    found = re.match(r"(?:func|type) (\w+)", declaration)
    return found and found[1]


def page(text):
    """The title and the body for what go doc has printed."""
    package, _, text = text.partition("\n\n")
    parts = re.split(rf"^({'|'.join(SECTIONS)})\n\n", text, flags=re.MULTILINE)
    sections = [(title, list(blocks(body.strip("\n").split("\n")))) for title, body in zip(parts[1::2], parts[2::2])]
    names = {name for _, found in sections for lines, _ in found if (name := name_of(lines[0]))}

    def linked(lines, own):
        """A declaration, in which each type of the package has a link to its own declaration."""
        code = html.escape("\n".join(lines), quote=False)
        code = re.sub(r"(?<![\w.])[A-Z]\w*\b", lambda found: (
            f'<a href="#{found[0]}">{found[0]}</a>' if found[0] in names - {own} else found[0]), code)
        return f"<pre><code>{code}</code></pre>"

    path = re.search(r'// import "(.*)"', package)[1]
    out = [f"<h1>package {html.escape(package.split()[1])}</h1>", f"<p><code>import \"{html.escape(path)}\"</code></p>",
           words(parts[0].split("\n"))]
    for title, found in sections:
        out.append(f"<h2>{title.capitalize()}</h2>")
        for lines, comment in found:
            if name := name_of(lines[0]):
                out.append(f'<h3 id="{name}">{name}</h3>')
            out += [linked(lines, name), words(comment)]
    return "Sluice in Go", "\n".join(out)


def printed():
    environment = os.environ | {"GOCACHE": str(ROOT / "build/languages/go-cache"), "GOPROXY": "off"}
    return run("go", "doc", "-all", ".", cwd=ROOT / "Bindings/go", env=environment).stdout
