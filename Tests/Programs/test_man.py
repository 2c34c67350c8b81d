"""The man page of sluice-echo says what the program's help says."""

import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def without_date(page):
    return page.partition("\n")[2]


class ManTest(unittest.TestCase):
    def test_the_page_of_sluice_echo_is_as_it_would_be_written(self):
        with tempfile.NamedTemporaryFile() as said:
            subprocess.run([ROOT / "build/sluice-echo", "--experimental-dump-help"], stdout=said, check=True,
                           timeout=300)
            page = subprocess.run([ROOT / "Tools/man", "--echo", said.name], capture_output=True, text=True,
                                  check=True, timeout=300).stdout
        written = (ROOT / "docs/man/sluice-echo.1").read_text(encoding="utf-8")
        self.assertEqual(without_date(written), without_date(page), "make pages writes it anew")


if __name__ == "__main__":
    unittest.main()
