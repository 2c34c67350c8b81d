"""A program links against the C libraries. Tests/ABI tests what they export."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from sockets import connect, exchange
from support import wait_until

ROOT = pathlib.Path(__file__).parents[2]


def output_of(*command):
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300
    ).stdout


class LibraryTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        output_of("make", "lib")

    def test_the_shared_library_has_a_soname_and_its_links(self):
        major = (ROOT / "VERSION").read_text().split(".")[0]
        dynamic = output_of("readelf", "-d", "build/libsluice.so")
        self.assertIn(f"soname: [libsluice.so.{major}]", dynamic)
        self.assertTrue((ROOT / f"build/libsluice.so.{major}").resolve().samefile(
            ROOT / "build/libsluice.so"))

    def test_it_needs_no_library_but_libc(self):
        dynamic = output_of("readelf", "-d", "build/libsluice.so")
        self.assertEqual(re.findall(r"NEEDED.*\[(.*?)\]", dynamic), ["libc.so.6"])

    def test_the_program_of_the_first_page_is_the_example(self):
        program = (ROOT / "Examples/c/echo.c").read_text().partition("*/\n")[2]
        self.assertIn(f"```c\n{program}```", (ROOT / "README.md").read_text())

    def test_the_program_of_the_first_page_echoes(self):
        program = (ROOT / "Examples/c/echo.c").read_text()
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/echo.sock"
            source = pathlib.Path(folder, "echo.c")
            # As it is, except for an address that nobody else uses.
            source.write_text(program.replace("127.0.0.1:9999", f"unix:{path}"))
            output_of(
                "gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                "-ICSources/CSluice/include", source, "build/libsluice.a", "-lpthread",
                "-o", f"{folder}/echo")
            with subprocess.Popen([f"{folder}/echo"]) as server:
                self.addCleanup(server.kill)
                wait_until(lambda: os.path.exists(path), "it listens")
                with connect(f"unix:{path}") as client:
                    exchange(client, b"hello")
                    exchange(client, os.urandom(1 << 18))
                server.kill()


if __name__ == "__main__":
    unittest.main()
