"""ARCHITECTURE.md names each file of the core. Every file and function that it names exists."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORE = ROOT / "CSources/CSluice"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
SOURCES = {str(path.relative_to(CORE)): path.read_text(encoding="utf-8")
           for path in sorted(CORE.rglob("*.[ch]"))}


def section(heading):
    return re.search(rf"^## {heading}\n(.*?)^## ", TEXT, re.DOTALL | re.MULTILINE).group(1)


def files_named(text):
    return set(re.findall(r"`([\w/]+\.[ch])`", text))


class ArchitectureTest(unittest.TestCase):
    def test_each_file_of_the_core_stands_in_the_table_and_no_other(self):
        folder, named = "", set()
        for cell in re.findall(r"^\| (.*?) \| ", section("The layers of the core"), re.MULTILINE):
            if heading := re.match(r"\*\*(\w+/)\*\*", cell):
                folder = heading.group(1)
            inner = ""  # `pollers/select.c`, `poll.c`: the second is in the same folder
            for name in re.findall(r"`([\w/]+\.[ch])`", cell):
                inner = name[:name.rindex("/") + 1] if "/" in name else inner
                named.add(folder + inner + name.rpartition("/")[2])
        # A header goes with the file of its name.
        with_headers = named | {re.sub("c$", "h", name) for name in named}
        self.assertEqual(set(SOURCES) - with_headers, set(), "not in the table")
        self.assertEqual(named - set(SOURCES), set(), "not there")

    def test_the_way_of_a_byte_goes_through_files_and_functions_that_are_there(self):
        way = section("The way of a byte")
        for name in files_named(way):
            self.assertTrue(any(path.endswith(name) for path in SOURCES)
                            or list(ROOT.rglob(f"Tests/Core/**/{pathlib.Path(name).name}")), name)
        defined = {name for source in SOURCES.values()
                   for name in re.findall(r"\b(\w+)\(", source)}
        steps = way.partition("### To find")[0]
        functions = set(re.findall(r"`([a-z]\w*)`", steps)) - {"epoll_ctl"}
        self.assertGreater(len(functions), 15)
        self.assertEqual(functions - defined, set())


if __name__ == "__main__":
    unittest.main()
