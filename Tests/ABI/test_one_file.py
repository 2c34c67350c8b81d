"""What `make amalgamation` writes compiles by itself, as C11 and as C++17, exports no more than the
libraries do, and works."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import abi
from test_abi import REGISTER, symbols_of

C_WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
LANGUAGES = {
    "gcc": ["-std=c11", *C_WARNINGS],
    "clang": ["-std=c11", *C_WARNINGS],
    "g++": ["-x", "c++", "-std=c++17", *C_WARNINGS],
    "clang++": ["-x", "c++", "-std=c++17", *C_WARNINGS],
}
HIDDEN = '-DSLUICE_API=__attribute__((visibility("hidden")))'


class OneFileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        subprocess.run(["make", "-s", "amalgamation"], cwd=abi.ROOT, check=True, timeout=300)
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.folder = pathlib.Path(made.name)
        for path in ("build/sluice.c", "build/sluice.h", "Tests/ABI/one_file.c"):
            shutil.copy(abi.ROOT / path, cls.folder)
        cls.text = (cls.folder / "sluice.c").read_text(encoding="utf-8")
        cls.listed = set(re.findall(r"\b(sluice_\w+)\(", abi.committed("symbols.txt")))

    def build(self, *command):
        """The compiler must print nothing."""
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def exported(self, library):
        return symbols_of("nm", "-D", "--defined-only", self.folder / library)

    def test_it_includes_the_systems_headers_and_its_own(self):
        included = re.findall(r"^\s*#\s*include\s+(.*)$", self.text, re.MULTILINE)
        self.assertEqual([name for name in included if not name.startswith("<")], ['"sluice.h"'])

    def test_it_says_its_version_its_use_and_its_licence(self):
        head = re.sub(r"^ \*", "", self.text[:self.text.index("*/")], flags=re.MULTILINE)
        licence = (abi.ROOT / "LICENSE").read_text(encoding="utf-8").split()
        self.assertIn((abi.ROOT / "VERSION").read_text(encoding="utf-8").strip(), head)
        self.assertIn("cc -O2 -c sluice.c", head)
        self.assertIn(" ".join(licence), " ".join(head.split()))

    def test_every_compiler_takes_it_and_it_works(self):
        for compiler, words in LANGUAGES.items():
            if not shutil.which(compiler):
                continue
            with self.subTest(compiler):
                self.build(compiler, *words, "-c", "sluice.c")
                self.build(compiler, *words, "-c", "one_file.c")
                self.build(compiler, "sluice.o", "one_file.o", "-lpthread", "-o", "one_file")
                self.assertEqual(symbols_of("nm", "-g", "--defined-only", self.folder / "sluice.o"),
                                 self.listed | {REGISTER})
                said = subprocess.run(self.folder / "one_file", capture_output=True, timeout=300)
                self.assertEqual((said.returncode, said.stdout), (0, b"well\n"))

    def test_the_example_is_built_as_readme_says(self):
        command = "cc -O2 -I. echo.c sluice.c -o echo"
        self.assertIn(f"\n{command}\n", (abi.ROOT / "README.md").read_text(encoding="utf-8"))
        shutil.copy(abi.ROOT / "Examples/c/echo.c", self.folder)
        self.build(*command.split())

    def test_a_library_exports_what_is_public_or_nothing(self):
        shared = ["gcc", "-shared", "-fPIC", "sluice.c", "-lpthread", "-o"]
        self.build(*shared, "public.so")
        self.build(*shared, "hidden.so", HIDDEN)
        self.assertEqual(self.exported("public.so"), self.listed | {REGISTER})
        self.assertEqual(self.exported("hidden.so"), set())


if __name__ == "__main__":
    unittest.main()
