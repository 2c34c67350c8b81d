"""docs/reliability.md names tests, and each of them exists."""

import re
import unittest

from faults import ROOT

NAMED = re.compile(r"`((?:test_|Async)\w+)`: ((?:\*[^*]+\*(?:, )?)+)")


class Document(unittest.TestCase):
    def test_each_test_it_names_exists(self):
        text = (ROOT / "docs/reliability.md").read_text()
        paths = [*(ROOT / "Tests").rglob("test_*.[cp]*"), *(ROOT / "Tests").rglob("Async*.swift")]
        sources = {path.stem: path.read_text() for path in paths
                   if path.suffix in (".c", ".py", ".swift")}
        named = [(file, test) for file, tests in NAMED.findall(text)
                 for test in re.findall(r"\*([^*]+)\*", tests)]
        self.assertGreater(len(named), 50)
        for file, test in named:
            with self.subTest(file=file, test=test):
                self.assertRegex(sources[file], rf'"{re.escape(test)}"|def {re.escape(test)}\(')

    def test_each_promise_has_a_test(self):
        text = (ROOT / "docs/reliability.md").read_text()
        section = text.partition("## Each promise and its tests")[2].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
        self.assertGreater(len(rows), 15)
        for row in rows:
            self.assertRegex(row, r"`test_\w+`")


if __name__ == "__main__":
    unittest.main()
