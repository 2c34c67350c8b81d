"""What README.md names exists: targets of make, and programs with their options. Its numbers are
those that were measured. Tests/Swift and Tests/Languages run its programs."""

import json
import pathlib
import re
import subprocess
import unittest

from support import Server, run

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
SHELL = "".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).splitlines()
INLINE = [" ".join(code.split())
          for code in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))]


class CommandsTest(unittest.TestCase):
    def commands(self):
        """The words of each command, without its comment."""
        inline = [code for code in INLINE if code.startswith(("make ", "build/", "cc "))
                  and not code.endswith((".c", ".h"))]
        return [command.partition("#")[0].split() for command in SHELL + inline]

    def made(self, target):
        """The commands that make runs for a target."""
        return subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True,
                              timeout=300, check=True).stdout

    def test_nothing_is_said_to_be_run_that_is_not_looked_at_here(self):
        # Tests/Languages compiles the program of the first page, with the command that is on it.
        self.assertEqual({"make", "build", "cc"},
                         {word.partition("/")[0] for word, *_ in self.commands()})

    def test_the_targets_of_make_are_there(self):
        targets = {words[1] for words in self.commands() if words[0] == "make"}
        self.assertLessEqual({"demo", "test", "help", "install", "bench", "bench-gate"}, targets)
        for target in targets:
            with self.subTest(target=target):
                self.made(target)

    def test_the_help_of_make_shows_each_target_that_says_what_it_does(self):
        written = re.findall(r"^([a-z-]+):.* ##", (ROOT / "Makefile").read_text(), re.MULTILINE)
        self.assertGreater(len(written), 50)
        done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True,
                              timeout=300, check=True)
        shown = re.findall(r"^  make ([a-z-]+) ", done.stdout, re.MULTILINE)
        self.assertEqual(sorted(shown), sorted(written))

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

    def test_the_commands_of_the_programs_do_what_the_page_says(self):
        lines = [line for line in SHELL if line.startswith("build/")]
        serve, client, load, article, article_client = (line.split()[1:] for line in lines)
        self.assertEqual((serve[0], client, load[0], article_client),
                         ("serve", ["client"], "load", []))
        with Server("sluice-echo", *serve[1:]) as server:
            text = (ROOT / "README.md").read_bytes()
            done = run("sluice-echo", *client, "--connect", server.address, input=text)
            self.assertEqual((done.returncode, done.stdout), (0, text))
            load[load.index("--duration") + 1] = "0.2"
            done = run("sluice-echo", *load, "--connect", server.address)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertTrue(": data of stream" in server.output())
        with Server("article-first-server", *article) as server:
            done = run("article-client", "--address", server.address, input=b"hello\n")
            self.assertEqual(done.returncode, 0)
            self.assertIn(b"hello\n", done.stdout)

    def test_make_demo_leaves_the_programs_there(self):
        linked = next(line for line in self.made("demo").splitlines() if line.startswith("ln "))
        for name in {words[0] for words in self.commands() if words[0].startswith("build/")}:
            if "libsluice" not in name:
                name = name.removeprefix("build/")
                self.assertIn(f"../Programs/.build/debug/{name} ", linked)
        self.assertTrue(linked.endswith(" build"), linked)

    def test_the_page_is_short(self):
        self.assertLess(TEXT.count("\n"), 200)


class FiguresTest(unittest.TestCase):
    """Each number is within 5 % of what was measured last, because the gate is as exact as that."""

    def assert_says(self, row, measured, text=TEXT):
        [cell] = re.findall(rf"^\| {re.escape(row)} \| ([\d.,]+)[^|]*\|", text, re.MULTILINE)
        said = float(cell.replace(",", ""))
        self.assertLess(abs(said - measured), 0.05 * measured, (row, said, measured))

    def test_what_the_gate_counts(self):
        gate = json.loads((ROOT / "Benchmarks/ceilings.json").read_text())
        for row, name in {
            "user instructions for one echo, C": "C echo, epoll",
            "the same, Swift, pulled": "Swift echo, epoll",
            "the same, Swift, a task for each connection": "Swift async echo",
            "system calls for one echo": "C system calls an echo",
            "memory for an idle connection, C": "C bytes for an idle connection",
            "a C echo server with the library in it, without error messages, stripped": "C echo, stripped, in bytes",
        }.items():
            self.assert_says(row, gate[name])
        tasks = (ROOT / "docs/async.md").read_text()
        for row, name in {
            "the pulled loop": "Swift echo, epoll",
            "a handler of a plain package, `inbound` and `write`": "Swift async echo",
            "the same with `.isolatedOnly`": "Swift async echo, isolated only",
        }.items():
            self.assert_says(row, gate[name], tasks)

    def test_what_was_compared(self):
        report = json.loads((ROOT / "Benchmarks/report/results.json").read_text())
        self.assertIn(f"Date: {report['date']}", TEXT)
        for row, load in {
            "server CPU, beside epoll written by hand": "echo-64",
            "the same with 8,000 connections": "echo-8000",
        }.items():
            self.assert_says(row, report["loads"][load]["Sluice C, epoll"]["ratio"][0])
        [cells] = re.findall(r"^\| instructions an echo \|(.*)\|$", TEXT, re.MULTILINE)
        said = [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", cells)
                if number != ","]
        names = ("Sluice C, epoll", "Sluice Swift, epoll", "libevent event", "libevent bufferevent",
                 "libuv", "SwiftNIO handler")
        self.assertEqual(
            said, [round(report["counts"][name]["instructions"]) for name in names])


if __name__ == "__main__":
    unittest.main()
