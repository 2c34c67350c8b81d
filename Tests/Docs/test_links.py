"""Every link of a Markdown page leads to a file and a heading that exist. Every figure is as Tools/figures
draws it."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [path for path in sorted(ROOT.rglob("*.md"))
         if not {".build", "build", ".git"} & set(path.relative_to(ROOT).parts)]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(page):
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)


def anchor(heading):
    """The anchor that GitHub makes from a heading."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def anchors(page):
    return {anchor(words) for words in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)}


class LinksTest(unittest.TestCase):
    def test_the_pages_are_found(self):
        names = {str(page.relative_to(ROOT)) for page in PAGES}
        self.assertLessEqual({"README.md", "docs/loop.md", "ARCHITECTURE.md"}, names)

    def test_each_link_leads_somewhere(self):
        count = 0
        for page in PAGES:
            for link in LINK.findall(prose(page)):
                if "://" in link or link.startswith("mailto:"):
                    continue
                count += 1
                name, _, heading = link.partition("#")
                target = (page.parent / name).resolve() if name else page
                with self.subTest(page=str(page.relative_to(ROOT)), link=link):
                    self.assertTrue(target.exists())
                    if heading:
                        self.assertIn(heading, anchors(target))
        self.assertGreater(count, 50)

    def test_each_page_of_docs_is_reached_from_the_readme(self):
        reached, waiting = set(), [ROOT / "README.md"]
        while waiting:
            page = waiting.pop()
            if page in reached:
                continue
            reached.add(page)
            for link in LINK.findall(prose(page)):
                target = (page.parent / link.partition("#")[0]).resolve()
                if target.suffix == ".md" and target.is_file():
                    waiting.append(target)
        self.assertEqual([str(page) for page in PAGES
                          if page.is_relative_to(ROOT / "docs") and page not in reached], [])


class FiguresTest(unittest.TestCase):
    def test_the_report_says_what_was_measured(self):
        done = subprocess.run([ROOT / "Benchmarks/report.py", "--check", "Benchmarks/report"],
                              cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_each_figure_is_as_it_would_be_drawn(self):
        done = subprocess.run([ROOT / "Tools/figures", "--check"], capture_output=True, text=True,
                              timeout=300, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main()
