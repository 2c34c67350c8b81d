"""What does not compile in Rust: each file of rust/failures fails with the error that it names."""

import re
import subprocess
import tempfile
import unittest

from languages import EXAMPLES, HERE, ROOT, RUST

FAILURES = sorted((HERE / "rust/failures").glob("*.rs"))


def compiled(source):
    """The codes of the errors that rustc had to say, or an empty set."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [*RUST.compiler, "--emit", "metadata", source, "-o", f"{folder}/out"],
            text=True, capture_output=True, timeout=60, check=False)
    codes = set(re.findall(r"^error\[(E\d+)\]", result.stderr, re.MULTILINE))
    if (result.returncode == 0) != (not codes):
        raise AssertionError(f"{source}: {result.stderr}")
    return codes


class RustTest(unittest.TestCase):
    @unittest.skipUnless(RUST.is_installed(), "there is no rustc")
    def test_what_must_not_compile_does_not(self):
        for source in FAILURES:
            expected = re.findall(r"^// expect: (\w+)$", source.read_text(), re.MULTILINE)
            with self.subTest(source.name):
                self.assertEqual(compiled(source), set(expected))

    def test_there_is_a_control(self):
        without = [each.name for each in FAILURES if "// expect: " not in each.read_text()]
        self.assertEqual(without, ["control.rs"])

    def test_values_are_those_of_the_library(self):
        written = (EXAMPLES / "rust/sluice.rs").read_text()
        layout = (ROOT / "Tests/ABI/layout.txt").read_text()
        constants = re.findall(r"^const (SLUICE_\w+): \w+ = (-?\d+);", written, re.MULTILINE)
        self.assertGreater(len(constants), 20)
        for name, value in constants:
            self.assertRegex(layout, rf"(?m)^ *{name} = {value}$")


if __name__ == "__main__":
    unittest.main()
