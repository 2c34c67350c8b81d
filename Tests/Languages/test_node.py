"""The package of Bindings/node: its name, its types, and its copies of what is in sluice.h."""

import json
import pathlib
import re
import subprocess
import tempfile
import unittest

from languages import NODE, NODE_PACKAGE, ROOT, environment, run
from sockets import exchange, unix_address
from test_docs import connected

TYPES = (NODE_PACKAGE / "index.d.ts").read_text()
README = (NODE_PACKAGE / "README.md").read_text()


@unittest.skipUnless(NODE.is_installed(), "there is no node, or there are no headers of it")
class NodeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """A user's folder, in which the package is installed."""
        run(["make", "-s", "node-package"])
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.folder = pathlib.Path(folder)
        modules = cls.folder / "node_modules"
        modules.mkdir()
        (modules / "sluice-io").symlink_to(NODE_PACKAGE)

    def node(self, name, program):
        (self.folder / name).write_text(program)
        return ["node", "--throw-deprecation", self.folder / name]

    def test_what_it_exports_is_what_its_types_say(self):
        program = "import * as all from 'sluice-io'; console.log(JSON.stringify(all))"
        exported = json.loads(run(self.node("names.mjs", program), cwd=self.folder))
        del exported["default"]
        values = re.findall(r"^export const (\w+): (\w+);", TYPES, re.MULTILINE)
        self.assertEqual(exported, {name: int(value, 0) for name, value in values})

    def test_each_call_has_a_type(self):
        program = """const all = require('sluice-io');
            const of = (name) => Object.getOwnPropertyNames(all[name].prototype);
            console.log(JSON.stringify({ Loop: of('Loop'), Poster: of('Poster'), Poller: of('Poller') }))"""
        for name, calls in json.loads(run(self.node("calls.cjs", program))).items():
            [body] = re.findall(rf"^export class {name} .*?^}}", TYPES, re.DOTALL | re.MULTILINE)
            typed = re.findall(r"^  (?:readonly )?(\w+)[(:]", body, re.MULTILINE)
            self.assertEqual(sorted(typed), sorted(calls))

    def test_values_are_those_of_the_library(self):
        layout = (ROOT / "Tests/ABI/layout.txt").read_text()
        ours = {"QUEUED", "OVER_HIGH_MARK", "GONE", "FULL"}
        values = re.findall(r"^export const (\w+): (\w+);", TYPES, re.MULTILINE)
        for name, value in values:
            if name not in ours:
                self.assertRegex(layout, rf"(?m)^ *SLUICE_{name} = {int(value, 0)}$")
        codes = re.findall(r"^  (E\w+): (-\d+),", (NODE_PACKAGE / "lib/errors.js").read_text(), re.MULTILINE)
        self.assertGreater(len(codes), 4)
        for name, value in codes:
            self.assertRegex(layout, rf"(?m)^ *SLUICE_{name} = {value}$")

    def test_the_version_is_the_library_s(self):
        package = json.loads((NODE_PACKAGE / "package.json").read_text())
        self.assertEqual(package["version"], (ROOT / "VERSION").read_text().strip())

    def test_the_program_of_the_readme_echoes(self):
        [program, _] = re.findall(r"^```js\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
        address = unix_address()
        command = self.node("echo.cjs", program.replace("127.0.0.1:9999", address))
        with subprocess.Popen(command, env=environment()) as server:
            self.addCleanup(server.kill)
            with connected(address) as client:
                exchange(client, b"hello")
            server.kill()


if __name__ == "__main__":
    unittest.main()
