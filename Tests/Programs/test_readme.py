"""README.md's programs compile as they stand there, without a warning, and what else it names is
there: targets of make, programs with their options, files."""

import pathlib
import re
import subprocess
import tempfile
import unittest

from support import PROGRAMS, run

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(c|swift)\n(.*?)```", TEXT, re.DOTALL)
SHELL = "".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).splitlines()
INLINE = [" ".join(code.split())
          for code in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))]


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


class CommandsTest(unittest.TestCase):
    def commands(self):
        """Each command as words, without its comment."""
        inline = [code for code in INLINE if code.startswith(("make ", "build/", "cc "))]
        return [command.partition("#")[0].split() for command in SHELL + inline]

    def made(self, target):
        """What make does for a target."""
        return subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True,
                              timeout=60, check=True).stdout

    def test_nothing_is_said_to_be_run_that_is_not_looked_at_here(self):
        # Tests/ABI compiles the program of the first page, by pkg-config.
        self.assertEqual({"make", "build", "cc"},
                         {word.partition("/")[0] for word, *_ in self.commands()})

    def test_the_targets_of_make_are_there(self):
        targets = {words[1] for words in self.commands() if words[0] == "make"}
        self.assertLessEqual({"demo", "test", "programs", "install"}, targets)
        for target in targets:
            with self.subTest(target=target):
                self.made(target)

    def test_the_programs_are_there_and_have_those_options(self):
        for words in self.commands():
            folder, _, name = words[0].partition("/")
            if folder != "build" or name.startswith("libsluice"):
                continue
            with self.subTest(command=words):
                before, *_ = " ".join(words[1:]).partition(" <")
                done = run(name, *before.split(), "--help")
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                known = re.findall(r"--[a-z-]+", done.stdout.decode())
                options = [word for word in words if word.startswith("--")]
                self.assertLessEqual(set(options), set(known))

    def test_make_demo_leaves_the_programs_there(self):
        linked = next(line for line in self.made("demo").splitlines() if line.startswith("ln "))
        for name in {words[0] for words in self.commands() if words[0].startswith("build/")}:
            if "libsluice" not in name:
                name = name.removeprefix("build/")
                self.assertIn(f"../Programs/.build/debug/{name} ", linked)
        self.assertTrue(linked.endswith(" build"), linked)

    def test_the_files_are_there(self):
        for link in re.findall(r"\]\(([^)#]+)", TEXT):
            if "://" not in link:
                with self.subTest(link=link):
                    self.assertTrue((ROOT / link).exists())


if __name__ == "__main__":
    unittest.main()
