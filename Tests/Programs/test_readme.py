"""README.md's programs compile as they stand there, without a warning."""

import pathlib
import re
import subprocess
import tempfile
import unittest

from support import PROGRAMS

ROOT = pathlib.Path(__file__).parents[2]
BLOCKS = re.findall(r"```(c|swift)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def compiled(command, source, name):
    """Compiles `source` under `name`; what the compiler had to say."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, name)
        path.write_text(source)
        result = subprocess.run(
            [*command, path], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
    return result.returncode, result.stdout + result.stderr


class ReadmeTest(unittest.TestCase):
    def test_there_is_a_program_in_each_language(self):
        self.assertEqual({language for language, _ in BLOCKS}, {"c", "swift"})

    def test_the_c_programs_compile(self):
        command = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
        command += ["-I", "CSources/CSluice/include"]
        for language, source in BLOCKS:
            if language == "c":
                with self.subTest(source=source):
                    self.assertEqual(compiled(command, source, "program.c"), (0, ""))

    def test_the_swift_programs_compile(self):
        command = ["swiftc", "-swift-version", "6", "-emit-sil", "-o", "/dev/null"]
        command += ["-I", f"{PROGRAMS}/Modules", "-I", "CSources/CSluice/include"]
        command += ["-I", "CSources/CSluiceLibevent/include"]
        command += ["-I", "Programs/.build/checkouts/swift-system/Sources/CSystem/include"]
        for language, source in BLOCKS:
            if language == "swift":
                with self.subTest(source=source):
                    self.assertEqual(compiled(command, source, "main.swift"), (0, ""))


if __name__ == "__main__":
    unittest.main()
