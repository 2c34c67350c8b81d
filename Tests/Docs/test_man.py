"""Each public call has a man page. Each reference from one page to another leads to a page. mandoc finds nothing wrong
with any page."""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAN = ROOT / os.environ.get("BUILD", "build") / "man"
ECHO = ROOT / "docs/man/sluice-echo.1"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in [*sorted(MAN.glob("*.3")), ECHO]}
WHOLE = {name: text for name, text in PAGES.items() if not text.startswith(".so ")}


def shown(text):
    """A page without what makes letters bold."""
    return re.sub(r"\\f[BIPR]|\\&", "", text).replace("\\-", "-")


class ManTest(unittest.TestCase):
    def test_each_public_call_has_a_page_that_names_it_and_shows_it(self):
        declared = re.findall(r"^SLUICE_API .*?\b(sluice_\w+)\(", "".join(
            path.read_text(encoding="utf-8") for path in ROOT.glob("CSources/*/include/*.h")), re.MULTILINE)
        self.assertGreater(len(declared), 80)
        for call in declared:
            text = PAGES[f"{call}.3"]
            if reference := re.match(r"\.so man3/(\S+)\n\Z", text):
                text = WHOLE[reference[1]]
            name, synopsis = (re.search(rf"^\.SH {title}\n(.*?)^\.SH", text, re.DOTALL | re.MULTILINE)[1]
                              for title in ("NAME", "SYNOPSIS"))
            self.assertRegex(name, rf"\b{call}\b")
            self.assertRegex(shown(synopsis), rf"\b{call}\(")
            self.assertRegex(text, rf"(?m)^\.SS (.*, )?{call}\(\)")

    def test_each_reference_to_a_page_of_ours_leads_to_one(self):
        count = 0
        for name, text in WHOLE.items():
            for page, section in re.findall(r"\b(sluice[\w-]*)\((\d)\)", shown(text)):
                count += 1
                self.assertIn(f"{page}.{section}", PAGES, name)
        self.assertGreater(count, 100)

    def test_no_page_sends_its_reader_up_or_down(self):
        """Something that is below in the header may be in another page."""
        for name, text in WHOLE.items():
            self.assertNotRegex(" ".join(shown(text).split()), r"(?i)\b(above|below)\b[,.;:)]|\bbelow\b", name)

    def test_mandoc_has_no_warning(self):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning",
                               *(MAN / name for name in WHOLE if name.endswith(".3")), ECHO],
                              capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main()
