"""docs/messages.md is complete. It has each code of sluice.h, and each message of the Swift module, the programs and
make, with why it comes and what to do."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/messages.md").read_text(encoding="utf-8")


class MessagesTest(unittest.TestCase):
    def test_the_page_has_every_message_as_the_sources_have_it(self):
        done = subprocess.run([ROOT / "Tools/messages", "--check"], capture_output=True, text=True,
                              timeout=300, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "\n", ""))

    def test_each_code_of_the_header_is_there(self):
        header = (ROOT / "CSources/CSluice/include/sluice.h").read_text(encoding="utf-8")
        [codes] = re.findall(r"enum sluice_error \{(.*?)\n\};", header, re.DOTALL)
        names = re.findall(r"^\s*(SLUICE_E\w+) = ", codes, re.MULTILINE)
        self.assertGreater(len(names), 20)
        for name in names:
            self.assertIn(f"| `{name}`: ", PAGE)

    def test_each_message_says_why_and_what_to_do(self):
        rows = [row.split(" | ") for row in re.findall(r"^\| (`.*) \|$", PAGE, re.MULTILINE)]
        self.assertGreater(len(rows), 130)
        for row in rows:
            self.assertEqual(len(row), 3, row)
            self.assertNotIn("", [cell.strip() for cell in row])

    def test_a_message_without_a_line_is_found(self):
        listed = subprocess.run([ROOT / "Tools/messages", "--list"], capture_output=True, text=True,
                                timeout=300, check=True).stdout
        for words in ("two tasks read from one connection; let one do it",
                      "the port … is out of range: 65535 is the highest",
                      "there is no backend '…'; use one of …",
                      "need: these packages are missing:…"):
            self.assertIn(words, listed)


if __name__ == "__main__":
    unittest.main()
