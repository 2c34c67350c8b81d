"""The references of the site: what each language's tool makes from the comments in its source.

Each function here writes one reference into a folder of the site. If a tool complains about a comment, that is an error.
"""

import json
import os
import pathlib
import re
import shutil
import sys

from common import BAR, HERE, PDOC, ROOT, place, run
import go_page
import header

# ---- The C reference -----------------------------------------------------------------------------


def name_of(declaration):
    """The name of a type or a constant."""
    return (re.match(r"#define (\w+)", declaration) or re.match(r"typedef .*\*(\w+)\(", declaration)
            or re.match(r"typedef \w+ (\w+);", declaration)
            or re.match(r"(?:typedef )?(?:enum|struct) (\w+)", declaration))[1]


class Reference:
    """sluice.h as Doxygen reads it: each comment in front of its declaration, with names marked."""

    def __init__(self, groups):
        declarations = [each for group in groups for part in group.parts for each in part.declarations]
        self.known = {header.call_of(each) or name_of(each) for each in declarations}
        for each in declarations:
            self.known |= {match[0] for code, _ in header.members(each)
                           if (match := re.match(r"SLUICE_\w+", code))}

    def marked(self, words):
        """Words in which Doxygen finds no commands, and the names that it knows as links."""
        words = re.sub(r"[\\@<>&#%$]", lambda found: "\\" + found[0], words)
        return re.sub(r"\b(?:sluice|SLUICE)_\w+",
                      lambda found: ("#" if found[0] in self.known else "%") + found[0], words)

    def text(self, text):
        out = []
        for kind, lines in header.words_of(text) if text else []:
            if kind == "code":
                out += ["@verbatim", *lines, "@endverbatim"]
                continue
            pieces = re.split(r"(`[^`]*`)", "\n".join(lines))
            out += ["".join(piece if piece.startswith("`") else self.marked(piece) for piece in pieces), ""]
        return "\n".join(out).strip().replace("*/", "* /")

    def comment(self, text):
        return f"/**\n{self.text(text)}\n*/" if text else "/** */"

    def declaration(self, declaration):
        pairs = header.members(declaration)
        if not pairs:
            return declaration
        head, tail = declaration.partition("{")[0], declaration.rpartition("}")[2]
        end = "," if re.match(r"(typedef )?enum", head) else ";"
        rows = [f"    {code}{end} /**< {self.text(said)} */" for code, said in pairs]
        return "\n".join([head + "{", *rows, "}" + tail])

    @staticmethod
    def title(group):
        return group.title[0].upper() + group.title[1:]

    def header(self, about, groups):
        title, _, about = about.partition("\n\n")
        contents = [f"- @ref group{number} \"{self.title(group)}\"" for number, group in enumerate(groups)]
        out = ["/** @mainpage sluice.h", title.partition(" - ")[2], "", self.text(about), "", *contents, "*/",
               "/** @file */", "#include <stddef.h>", "#include <stdint.h>"]
        for number, group in enumerate(groups):
            intro = [part.text for part in group.parts if not part.declarations]
            out += [f"/** @defgroup group{number} {self.title(group)}", self.text("\n\n".join(intro)), "*/",
                    f"/** @addtogroup group{number}", "@{ */"]
            for part in group.parts:
                for at, declaration in enumerate(part.declarations):
                    said = part.text if at == 0 or header.call_of(declaration) else ""
                    out += [self.comment(said), self.declaration(declaration), ""]
            out += ["/** @} */"]
        return "\n".join(out) + "\n"


def write_c_reference(site, work):
    about, groups = header.groups_of(ROOT / "CSources/CSluice/include/sluice.h")
    work.mkdir(parents=True, exist_ok=True)
    (work / "sluice.h").write_text(Reference(groups).header(about, groups), encoding="utf-8")
    doxygen(site, work, "sluice.h", "c", "C", "OPTIMIZE_OUTPUT_FOR_C = YES")


def write_cpp_reference(site, work):
    """sluice.hpp has no groups, and its comments are short. So they are only marked."""
    text = (ROOT / "Bindings/cpp/sluice.hpp").read_text(encoding="utf-8")
    text = re.sub(r"^( *)/\* (?!sluice\.hpp)", r"\1/** ", text, flags=re.MULTILINE)
    # Doxygen links to private classes, but does not show them. It has no place for a specialisation of a
    # template of std.
    text = re.sub(r"^  private:\n.*?^\};", "};", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^template <> struct std::.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\A/\* sluice\.hpp - ", "/** @mainpage sluice.hpp\n *\n * ", text)
    (work / "sluice.hpp").write_text(re.sub(r"([;,] *)/\* ", r"\1/**< ", text), encoding="utf-8")
    doxygen(site, work, "sluice.hpp", "cpp", "C++", "PREDEFINED = __cplusplus=202002L")


def doxygen(site, work, file, folder, language, settings):
    run("doxygen", "-l", work / "layout.xml")
    layout = (work / "layout.xml").read_text(encoding="utf-8")
    tabs = "".join(f'<tab type="user" url="../{path}" title="{name}"/>\n' for path, name in BAR
                   if not path.startswith(f"{folder}/"))
    (work / "layout.xml").write_text(layout.replace("</navindex>", tabs + "</navindex>"), encoding="utf-8")
    version = (ROOT / "VERSION").read_text(encoding="utf-8").strip()
    settings = (HERE / "Doxyfile").read_text(encoding="utf-8") + f"""
{settings}
INPUT = {work}/{file}
HTML_OUTPUT = {folder}
STRIP_FROM_PATH = {work}
LAYOUT_FILE = {work}/layout.xml
PROJECT_NUMBER = {version}
PROJECT_BRIEF = "I/O multiplexing over select, poll or epoll, in {language}"
OUTPUT_DIRECTORY = {site.folder}
"""
    run("doxygen", "-", input=settings)


# ---- The Rust, Python and Go references -----------------------------------------------------------


def add_bar(site, folder):
    """Adds the links to each part of the site to each page that another tool has written into a folder of it."""
    for page in (site.folder / folder).rglob("*.html"):
        root = os.path.relpath(site.folder, page.parent)
        bar = " · ".join(f'<a href="{root}/{path}">{name}</a>' for path, name in BAR)
        text = page.read_text(encoding="utf-8")
        place = r"<main\b[^>]*>" if "<main" in text else r"<body[^>]*>"
        page.write_text(re.sub(place, lambda found, bar=bar: found[0] + (
            f'<div style="padding: .6rem 1rem">{bar}</div>'), text, count=1), encoding="utf-8")


def write_rust_reference(site):
    target = ROOT / "build/languages/rust"
    shutil.rmtree(target / "doc", ignore_errors=True)
    run("cargo", "doc", "--quiet", "--offline", "--no-deps", "--manifest-path", "Bindings/rust/Cargo.toml",
        env=os.environ | {"CARGO_TARGET_DIR": str(target)})
    shutil.copytree(target / "doc", site.folder / "rust")
    # rustdoc's own pages link to it, but it does not exist.
    (site.folder / "rust/index.html").write_text('<body><a href="sluice/index.html">sluice</a></body>\n')
    add_bar(site, "rust")


def write_python_reference(site):
    """Made by pdoc, from the package as it is installed in the environment for its tests."""
    run(PDOC.with_name("python"), "-W", "error", HERE / "python_pages.py", site.folder / "python")
    add_bar(site, "python")
    site.write(pathlib.Path("python/index.html"), "Sluice in Python", """<h1>Sluice in Python</h1>
<ul><li><a href="sluiceio.html">sluiceio</a>: the loop; select, poll, epoll; selectors</li>
<li><a href="sluiceio/aio.html">sluiceio.aio</a>: the event loop for asyncio</li>
<li><a href="../Bindings/python/README.html">the package's page</a></li></ul>""")


def write_go_reference(site):
    title, body = go_page.page(go_page.printed())
    site.write(pathlib.Path("go/index.html"), title, body)


# ---- The Swift reference -------------------------------------------------------------------------


def write_swift_reference(site, work, symbols, base):
    """The catalog Sluice.docc, with the pages about Swift as its articles."""
    catalog, graphs = work / "Sluice.docc", work / "graphs"
    for folder in (catalog, graphs):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "Sluice.docc", catalog)
    graphs.mkdir()
    for path in [*symbols.glob("Sluice.symbols.json"), *symbols.glob("Sluice@*.symbols.json")]:
        shutil.copy(path, graphs)
    articles = {"swift": "docs/swift.md", "async": "docs/async.md"}
    for name, path in articles.items():
        source = ROOT / path

        def linked(found, source=source):
            words, link = found.groups()
            page, _, anchor = link.partition("#")
            if ":" in page or not page:
                return words if not page else found[0]
            target = (source.parent / page).resolve()
            for article, other in articles.items():
                if target == ROOT / other:
                    return f"<doc:{article}>"
            return f"[{words}]({base}{place(target)}{'#' * bool(anchor)}{anchor})"

        text = re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", linked, source.read_text(encoding="utf-8"))
        (catalog / f"{name}.md").write_text(text, encoding="utf-8")
    links = " · ".join(f'<a href="{base}{path}">{name}</a>' for path, name in BAR)
    (catalog / "header.html").write_text(
        f'<div style="padding: .6rem 1rem; font: 16px system-ui, sans-serif">{links}</div>\n', encoding="utf-8")
    diagnostics = work / "diagnostics.json"
    path = f"{base.strip('/')}/swift".strip("/")
    run("docc", "convert", catalog, "--additional-symbol-graph-dir", graphs, "--output-dir", site.folder / "swift",
        "--transform-for-static-hosting", "--hosting-base-path", path, "--experimental-enable-custom-templates",
        "--diagnostics-file", diagnostics)
    # If a parameter's name says everything, it needs no description.
    wrong = [f"{each['source']}: {each['summary']}"
             for each in json.loads(diagnostics.read_text(encoding="utf-8"))["diagnostics"]
             if not each["summary"].endswith("is missing documentation")]
    if wrong:
        sys.exit("docc has something to say:\n" + "\n".join(wrong))
