"""What make says to somebody who does not know it: what to do first, how far the tests are, and that root is needed,
before anything begins."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOBODY = 65534


def said(*command, **options):
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 300} | options
    return subprocess.run(list(map(str, command)), check=False, **options)


class MakeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def tool(self, name, script):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def test_make_alone_says_in_ten_lines_what_to_do(self):
        done = said("make", "-s")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertLessEqual(len(done.stdout.splitlines()), 10)
        targets = re.findall(r"^  make ([a-z-]+)", done.stdout, re.MULTILINE)
        self.assertEqual(targets, ["demo", "test", "lib", "install", "help"])
        everything = said("make", "-s", "help").stdout
        for target in targets:
            self.assertRegex(everything, rf"(?m)^  make {target} ")

    def test_the_tests_say_which_part_they_are_at(self):
        make = self.tool("make", 'echo "$2 is made"')
        done = said("Tools/parts", "make test", "one two", env=os.environ | {"MAKE": str(make)})
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"""\A== make test: part 1 of 2 begins: one, after \d+ s
one is made
== make test: part 1 of 2 has ended: one, in \d+ s
== make test: part 2 of 2 begins: two, after \d+ s
two is made
== make test: part 2 of 2 has ended: two, in \d+ s
== make test: all 2 parts passed in \d+ s
\Z""")

    def test_lanes_are_made_beside_each_other(self):
        # Each lane waits for the other.
        for name in ("one", "two"):
            os.mkfifo(self.folder / name)
        make = self.tool("make", f"""cd {self.folder}
            if [ "$2" = one ]; then echo a >one; cat two; else cat one; echo b >two; fi""")
        done = said("Tools/parts", "make test", "one", "two", env=os.environ | {"MAKE": str(make)})
        self.assertEqual(done.returncode, 0)
        self.assertIn("all 2 parts passed", done.stdout)

    def test_a_part_that_fails_ends_the_tests_and_says_how_to_run_it_alone(self):
        make = self.tool("make", '[ "$2" != two ]')
        done = said("Tools/parts", "make test", "one two three",
                    env=os.environ | {"MAKE": str(make)})
        self.assertEqual(done.returncode, 1)
        self.assertIn("two failed: see above. To run it alone: make two", done.stderr)
        self.assertNotIn("three", done.stdout)

    def test_each_part_of_the_tests_is_a_target(self):
        parts = said("make", "-s", "-p", "-q", "start").stdout
        parts = re.findall(r"^TEST_LANES := (.*)$", parts, re.MULTILINE)[0]
        parts = parts.replace('"', "").split()
        self.assertGreater(len(parts), 5)
        for part in parts:
            with self.subTest(part=part):
                self.assertEqual(said("make", "-n", part).returncode, 0)

    def test_what_is_missing_and_that_root_is_needed_is_said_first(self):
        self.tool("dpkg-query", "exit 1")
        self.tool("id", "echo 1000")
        self.tool("apt-get", f'echo "apt-get $*" >>{self.folder}/done')
        shutil.copy(shutil.which("sh"), self.folder / "sh")
        only_these = {"PATH": str(self.folder)}
        done = said(self.folder / "sh", "Tools/need", "libfoo-dev", env=only_these)
        self.assertEqual(done.returncode, 1)
        self.assertIn("need: only root can install them; as root, type: apt-get install libfoo-dev",
                      done.stderr)
        self.assertFalse((self.folder / "done").exists())
        self.tool("sudo", '"$@"')
        done = said(self.folder / "sh", "Tools/need", "libfoo-dev", env=only_these)
        self.assertEqual(done.returncode, 0)
        self.assertIn("as root, by sudo, which may ask for your password", done.stdout)
        self.assertIn("--no-install-recommends libfoo-dev",
                      (self.folder / "done").read_text())

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_an_install_says_that_root_is_needed_before_it_builds(self):
        done = said("make", "-s", "install", "PREFIX=/usr/local", f"BUILD={self.folder}/build",
                    user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("is not yours to write to. Run it as root", done.stderr)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
