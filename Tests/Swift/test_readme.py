"""README.md's programs in Swift compile without a warning, and echo what they are sent. SwiftPM can read its lines
for a Package.swift."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

import building

sys.path.append(str(building.ROOT / "Tests/Programs"))
from sockets import PATIENCE, connect, exchange, unix_address  # noqa: E402

README = (building.ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


class ReadmeTest(unittest.TestCase):
    def test_there_is_a_program_of_each_kind(self):
        programs = blocks("swift")
        self.assertEqual(len(programs), 2)
        self.assertIn("await", programs[0])
        self.assertIn("loop.next()", programs[1])

    def test_the_programs_echo(self):
        for source in blocks("swift"):
            with self.subTest(source=source), tempfile.TemporaryDirectory() as folder:
                address = unix_address()
                self.assertIn("127.0.0.1:9999", source)
                program = pathlib.Path(folder, "program")
                said = building.compiled(
                    folder, source.replace("127.0.0.1:9999", address), True, program)
                self.assertEqual(said, (0, ""))
                self.assert_echoes(program, address)

    def assert_echoes(self, program, address):
        with subprocess.Popen([program]) as server:
            self.addCleanup(server.kill)
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    client = connect(address)
                    break
                except ConnectionRefusedError:
                    self.assertIsNone(server.poll(), "the server has ended")
                    self.assertLess(time.monotonic(), end, "it does not listen")
                    time.sleep(0.005)
            with client:
                exchange(client, b"hello")
            server.kill()

    def test_the_lines_for_a_package_are_read(self):
        [lines] = blocks("swift-package")
        manifest = "// swift-tools-version: 6.2\nimport PackageDescription\n\n"
        manifest += f'let package = Package(\n    name: "server",\n{lines})\n'
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "Package.swift").write_text(manifest)
            done = subprocess.run(["swift", "package", "dump-package"], cwd=folder, check=True,
                                  capture_output=True, text=True, timeout=120)
        [dependency] = json.loads(done.stdout)["dependencies"]
        [[source]] = [dependency["sourceControl"]]
        version = (building.ROOT / "VERSION").read_text().strip()
        self.assertEqual(source["requirement"]["range"][0]["lowerBound"], version)
        manifest = (building.ROOT / "Package.swift").read_text()
        self.assertIn('.library(name: "Sluice"', manifest)


if __name__ == "__main__":
    unittest.main()
