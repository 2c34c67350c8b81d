"""What the pages say about the sources of Examples/swift is true."""

import re
import unittest

from examples import EXAMPLES

PACKAGE = (EXAMPLES / "Package.swift").read_text()
PROGRAMS = re.findall(r'"([\w-]+)"', re.search(r"targets: \[(.*)\]\.map", PACKAGE, re.DOTALL)[1])
FILES = sorted(file for program in PROGRAMS for file in (EXAMPLES / program).iterdir())


class SourcesTest(unittest.TestCase):
    def test_a_program_is_one_short_file_without_unsafe_code(self):
        self.assertEqual(len(FILES), len(PROGRAMS))
        for file in FILES:
            text = file.read_text()
            self.assertLessEqual(len(text.splitlines()), 150, file)
            self.assertNotIn("unsafe", text, file)
            self.assertTrue(text.startswith("// "), file)
            self.assertIn(f"swift run {file.parent.name} ", text)

    def test_an_async_program_is_shorter_than_its_twin(self):
        lines = {file.parent.name: len(file.read_text().splitlines()) for file in FILES}
        twins = [name for name in PROGRAMS if name.endswith("-async")]
        self.assertTrue(twins)
        for name in twins:
            self.assertLess(lines[name], lines[name.removesuffix("-async")], name)

    def test_the_readme_names_each(self):
        readme = (EXAMPLES / "README.md").read_text()
        self.assertEqual(re.findall(r"^\| \[[\w-]+\]\((.*?)\)", readme, re.MULTILINE),
                         [str(file.relative_to(EXAMPLES)) for program in PROGRAMS
                          for file in FILES if file.parent.name == program])
