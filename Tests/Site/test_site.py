"""The site of `make docs`: each of its links leads somewhere, and its parts lead to each other."""

import functools
import html.parser
import json
import os
import pathlib
import re
import shutil
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
SITE = ROOT / os.environ.get("BUILD", "build") / "docs"
SWIFT = SITE / "swift"
DOXYGEN = [SITE / "c", SITE / "cpp"]
# If the machine has no pdoc or no Go, the site has no reference for that language.
PYTHON = SITE / "python/sluiceio.html" if (ROOT / "build/python/bin/pdoc").exists() else None
GO = SITE / "go/index.html" if shutil.which("go") else None
# DocC's pages are a program with data. The test looks at the data by itself.
PAGES = [path for path in sorted(SITE.rglob("*.html")) if not path.is_relative_to(SWIFT)]


class Parser(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.anchors = [], set()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {urllib.parse.unquote(given[name]) for name in ("id", "name") if given.get(name)}
        self.links += [given[name] for name in ("href", "src") if given.get(name)]


@functools.cache
def parsed(page):
    parser = Parser()
    parser.feed(page.read_text(encoding="utf-8", errors="replace"))
    return parser


def target_of(page, link):
    """The file that a link leads to, and the anchor in it. None if the link leads out of the site."""
    parts = urllib.parse.urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = (page.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else page
    return path, urllib.parse.unquote(parts.fragment)


def menu_of(folder):
    """Where the menu of Doxygen's pages leads. A script writes the menu."""
    return re.findall(r'url:"([^"]+)"', (folder / "menudata.js").read_text(encoding="utf-8"))


class LinksTest(unittest.TestCase):
    def test_each_link_leads_to_a_page_and_to_an_anchor_of_it(self):
        broken, count = set(), 0
        for page in PAGES:
            for link in parsed(page).links:
                if not (target := target_of(page, link)):
                    continue
                count += 1
                path, anchor = target
                is_there = path.is_file() and path.is_relative_to(SITE)
                has_anchors = not path.is_relative_to(SWIFT) and not path.is_relative_to(SITE / "rust/src")
                if is_there and anchor and path.suffix == ".html" and has_anchors:
                    is_there = anchor in parsed(path).anchors
                if not is_there:
                    broken.add((str(page.relative_to(SITE)), link))
        self.assertEqual(broken, set())
        self.assertGreater(count, 2000)

    def test_the_menus_of_doxygen_lead_somewhere(self):
        for folder in DOXYGEN:
            links = menu_of(folder)
            self.assertGreater(len(links), 5)
            for link in links:
                path, _ = target_of(folder / "index.html", link)
                self.assertTrue(path.is_file(), link)

    def test_what_the_swift_reference_refers_to_is_there(self):
        pages, count = {}, 0  # where each is named
        for path in (SWIFT / "data").rglob("*.json"):
            for each in json.loads(path.read_text(encoding="utf-8")).get("references", {}).values():
                if url := each.get("url"):
                    pages.setdefault(url, path)
        for url, source in pages.items():
            parts = urllib.parse.urlsplit(url)
            if parts.scheme or not parts.path:
                continue
            count += 1
            folder = SWIFT / parts.path.lstrip("/") / "index.html"
            page = SITE / parts.path.lstrip("/")
            self.assertTrue(folder.is_file() or page.is_file(), f"{source.name}: {url}")
            if parts.fragment and page.is_file():
                self.assertIn(parts.fragment, parsed(page).anchors, f"{source.name}: {url}")
        self.assertGreater(count, 300)


class WholeTest(unittest.TestCase):
    def reached_from(self, page):
        return {path for link in parsed(page).links if (target := target_of(page, link))
                for path in target[:1]}

    def test_each_page_leads_to_each_part(self):
        parts = {SITE / "index.html", SITE / "docs/tutorial/README.html", SITE / "c/index.html", SITE / "cpp/index.html",
                 SWIFT / "documentation/sluice/index.html", SITE / "man/sluice.3.html",
                 *([PYTHON.with_name("index.html")] if PYTHON else []), *([GO] if GO else [])}
        for page in PAGES:
            if not any(page.is_relative_to(folder) for folder in [*DOXYGEN, SITE / "rust/src"]):
                self.assertLessEqual(parts, self.reached_from(page), page)
        for folder in DOXYGEN:
            menu = {target_of(folder / "index.html", link)[0] for link in menu_of(folder)}
            self.assertLessEqual(parts, menu)
        front = (SWIFT / "documentation/sluice/index.html").read_text(encoding="utf-8")
        for part in parts:
            self.assertIn(f'/{part.relative_to(SITE)}"', front)

    def test_each_markdown_page_is_there(self):
        for source in [ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]:
            self.assertTrue((SITE / source.relative_to(ROOT)).with_suffix(".html").is_file(), source)

    def test_each_call_is_in_the_c_reference_and_in_a_man_page(self):
        declared = re.findall(r"^SLUICE_API .*?\b(sluice_\w+)\(", (
            ROOT / "CSources/CSluice/include/sluice.h").read_text(encoding="utf-8"), re.MULTILINE)
        reference = "".join(path.read_text(encoding="utf-8") for path in (SITE / "c").glob("group__*.html"))
        man = "".join(path.read_text(encoding="utf-8") for path in (SITE / "man").glob("*.html"))
        for call in declared:
            self.assertRegex(reference, rf'class="memtitle">.*{call}\(\)</h2>')
            self.assertRegex(man, rf"{call}\(")

    @unittest.skipUnless(PYTHON, "there is no pdoc")
    def test_each_call_of_a_loop_is_in_the_python_reference(self):
        stub = (ROOT / "Bindings/python/src/sluiceio/_core.pyi").read_text(encoding="utf-8")
        loop = re.search(r"^class Loop:\n(.*?)^class ", stub, re.DOTALL | re.MULTILINE)[1]
        calls = re.findall(r"^    def ([a-z]\w*)\(", loop, re.MULTILINE)
        self.assertGreater(len(calls), 20)
        for call in [*calls, "listen", "connect"]:
            self.assertIn(f"Loop.{call}", parsed(PYTHON).anchors)

    def test_what_makes_the_python_reference_calls_only_what_is_public_in_pdoc_of_one_version(self):
        maker = (ROOT / "Tools/site/python_pages.py").read_text(encoding="utf-8")
        self.assertNotRegex(maker.replace("sluiceio._core", ""), r"\._[a-z]")
        self.assertRegex((ROOT / "Makefile").read_text(encoding="utf-8"), r"(?m)^PDOC := pdoc==\d+\.\d+\.\d+$")

    @unittest.skipUnless(GO, "there is no Go")
    def test_each_exported_function_and_type_is_in_the_go_reference(self):
        source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "Bindings/go").glob("*.go")
                         if not path.name.endswith("_test.go"))
        found = re.findall(r"^(?:func|type) ([A-Z]\w*)", source, re.MULTILINE)
        found += [f"{of}.{name}" for of, name in re.findall(
            r"^func \(\w+ \*?([A-Z]\w*)\) ([A-Z]\w*)\(", source, re.MULTILINE)]
        self.assertGreater(len(found), 80)
        self.assertLessEqual(set(found), parsed(GO).anchors)


if __name__ == "__main__":
    unittest.main()
