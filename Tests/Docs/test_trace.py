"""SLUICE_TRACE shows what a program pulls, and calls where that is asked for. Without it nothing is said, and
nothing of it is in the library."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
sys.path.append(str(ROOT / "Tests/Programs"))
from sockets import PATIENCE, connect, exchange, unix_address  # noqa: E402


class TraceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.program = f"{folder.name}/server"
        subprocess.run(["gcc", "-std=c11", "-ICSources/CSluice/include", "Examples/c/server.c",
                        f"-L{BUILD}", "-lsluice", f"-Wl,-rpath,{BUILD}", "-o", cls.program],
                       cwd=ROOT, check=True, timeout=60)

    def traced(self, what):
        """What an echo server says on standard error while it serves one client."""
        address = unix_address()
        environment = os.environ | {"LD_PRELOAD": str(BUILD / "libsluice-trace.so")}
        environment |= {"SLUICE_TRACE": what} if what else {}
        with subprocess.Popen([self.program, address], env=environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as server:
            self.addCleanup(server.kill)
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    client = connect(address)
                    break
                except ConnectionRefusedError:
                    self.assertLess(time.monotonic(), end, "it does not listen")
                    time.sleep(0.005)
            with client:
                exchange(client, b"hello")
            server.send_signal(signal.SIGTERM)
            said = server.communicate(timeout=PATIENCE)[1]
        self.assertEqual(server.returncode, 0)
        return said.splitlines()

    def test_each_event_is_shown(self):
        said = self.traced("events")
        kinds = [line.split()[1] for line in said if not line.startswith("sluice: no event")]
        self.assertEqual(kinds[:2], ["ACCEPTED", "DATA"])
        self.assertEqual(kinds.count("CLOSED"), 1)
        self.assertIn("SIGNAL", kinds)
        [data] = [line for line in said if " DATA " in line]
        self.assertRegex(data, r"^sluice: DATA \d+/\d+ user \d+ length 5 value 0 ")

    def test_calls_are_shown_where_they_are_asked_for(self):
        said = self.traced("calls")
        self.assertEqual(len([line for line in said if line.startswith("sluice: DATA ")]), 1)
        [write] = [line for line in said if line.startswith("sluice:   write ")]
        self.assertTrue(write.endswith(" 5: OK"), write)

    def test_without_it_nothing_is_said(self):
        self.assertEqual(self.traced(None), [])

    def test_each_kind_of_event_has_its_name(self):
        header = (ROOT / "CSources/CSluice/include/sluice.h").read_text()
        kinds = header.partition("enum sluice_event_kind {")[2].partition("};")[0]
        source = (ROOT / "Tools/trace/trace.c").read_text()
        for line in kinds.splitlines():
            name = line.split()[0].rstrip(",") if line.split() else ""
            if name.startswith("SLUICE_") and name != "SLUICE_EVENT_KINDS":
                self.assertIn(f'[{name}] = "{name.removeprefix("SLUICE_")}"', source)


if __name__ == "__main__":
    unittest.main()
