"""docs/languages.md shows code of the examples, which the other tests compile and run. The programs of
README.md run as they are."""

import functools
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

from languages import EXAMPLES, GO, LANGUAGES, PYTHON, ROOT, environment, install, run
from sockets import PATIENCE, connect, exchange, unix_address

README = (ROOT / "README.md").read_text()
TEXT = (ROOT / "docs/languages.md").read_text()

# In the order of the table.
WRAPPERS = ["Bindings/cpp/sluice.hpp", "Bindings/python/native/[lm]*.c", "Bindings/rust/src/*.rs",
            "Bindings/go/*.go", "Bindings/node/native/*.c"]

# The page names all files of these folders.
FOLDERS = [*(f"Examples/{each}" for each in ("c", "cpp")),
           "Bindings/rust/examples", "Bindings/go/examples", "Bindings/node/examples"]


@functools.cache
def written(sources):
    """The text of some files, without the declarations of what is in C."""
    return "".join(path.read_text() for path in ROOT.glob(sources) if path.name != "sys.rs")


def connected(address):
    """A client of a server that may not listen yet."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return connect(address)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)


class DocsTest(unittest.TestCase):
    def test_each_piece_of_code_stands_in_its_server(self):
        blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE))
        self.assertLessEqual({language.folder for language in LANGUAGES}, set(blocks))
        for language in LANGUAGES:
            self.assertIn(blocks[language.folder], language.server.read_text(), language.name)

    def test_each_file_of_the_examples_is_named(self):
        named = set(re.findall(r"\(\.\./((?:Examples|Bindings)/[\w/.]+)\)", TEXT))
        sources = {
            str(path.relative_to(ROOT))
            for folder in FOLDERS
            for path in (ROOT / folder).rglob("*")
            if path.suffix in {".c", ".cpp", ".hpp", ".py", ".rs", ".go", ".js"}
        }
        self.assertLessEqual(sources - {"Examples/c/echo.c"}, named)  # the README's
        for path in named:
            self.assertTrue((ROOT / path).exists(), path)

    def test_the_table_says_of_each_call_where_it_is(self):
        symbols = (ROOT / "Tests/ABI/symbols.txt").read_text()
        rows = re.findall(r"^\| `(sluice_\w+)` \|" + r" (.*) \|" * 5 + "$", TEXT, re.MULTILINE)
        calls = re.findall(r"(sluice_\w+)\(.*sluice_loop \*", symbols)
        self.assertEqual([call for call, *_ in rows], [*calls, "sluice_error_errno"])
        for call, *cells in rows:
            for cell, sources in zip(cells, WRAPPERS):
                is_there = re.search(rf"\b{call}\b", written(sources))
                self.assertEqual(is_there is None, cell.startswith("no"), (call, sources))

    @unittest.skipUnless(PYTHON.is_installed(), "there is no environment for Python's package")
    def test_the_program_of_the_readme_echoes(self):
        [program] = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
        address = unix_address()
        program = program.replace("127.0.0.1:9999", address)
        self.assert_echoes([PYTHON.environment / "bin/python", "-c", program], address)

    def test_the_program_of_the_readme_in_c_is_built_by_its_command_and_echoes(self):
        install()
        [program] = re.findall(r"^```c\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
        self.assertIn(program, (EXAMPLES / "c/echo.c").read_text())
        [command] = re.findall(r"^cc .*pkg-config.*$", README, re.MULTILINE)
        address = unix_address()
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "echo.c").write_text(program.replace("127.0.0.1:9999", address))
            run(["sh", "-c", command], cwd=folder)
            self.assert_echoes([f"{folder}/echo"], address)

    @unittest.skipUnless(GO.is_installed(), "there is no go")
    def test_the_programs_of_the_readme_for_go_are_built_as_it_says_and_echo(self):
        run(["make", "-s", "go-module"])
        programs = re.findall(r"^```go\n(.*?)^```", GO.readme.read_text(), re.DOTALL | re.MULTILINE)
        self.assertEqual(len(programs), 2)
        for program in programs:
            address = unix_address()
            with tempfile.TemporaryDirectory() as folder:
                command = GO.build_elsewhere(
                    program.replace("127.0.0.1:9999", address), pathlib.Path(folder))
                self.assert_echoes(command, address)

    def assert_echoes(self, command, address):
        with subprocess.Popen(command, env=environment()) as server:
            self.addCleanup(server.kill)
            with connected(address) as client:
                exchange(client, b"hello")
            server.kill()


if __name__ == "__main__":
    unittest.main()
