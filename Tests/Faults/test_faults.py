"""Echo servers, and the model of a loop, under faults: nothing is lost, nothing leaks, and nothing spins."""

import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
import unittest

from clients import Clients
from faults import (BACKENDS, BUILD, COSTLY, KINDS, LIBEVENT, PASSING, PATIENCE, SEED, SERVERS,
                    Server, Tally, environment)

COUNT = 400
RATES = (20, 100, 300)


class FaultTest(unittest.TestCase):
    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"repeat with SLUICE_SEED={SEED} python3 -m unittest discover -s Tests/Faults"
                  f" -k {self.id().rpartition('.')[2]}", file=sys.stderr)
        return result

    def over_servers(self, check):
        for name, backend, rate in itertools.product(SERVERS, BACKENDS + LIBEVENT, RATES):
            if name == "async" and rate < max(RATES):  # the layers below are the same as for "swift"
                continue
            with self.subTest(server=name, backend=backend, rate=rate):
                check(SERVERS[name], backend, SEED + rate, rate)

    def serve(self, command, backend, seed, rate, kinds):
        """Serves clients, and checks what must be true under all faults."""
        with Server(command, backend, seed, rate, kinds) as server:
            clients = Clients(server.address, random.Random(seed), COUNT).run()
            self.assertEqual(server.leaked(), 0)
            self.assertTrue(server.runs(), "it has ended")
            tally = server.tally()
            self.assertEqual(server.end(), 0)
        self.assertEqual((clients.served, clients.wrong, clients.stuck), (COUNT, 0, []))
        self.assertEqual(tally.spins, 0)
        self.assertGreater(tally.total(), 0)
        return clients, tally


class Servers(FaultTest):
    def test_no_byte_is_lost_to_faults_that_pass(self):
        """EINTR, EAGAIN, short counts, aborted callers, clock jumps, late wake-ups."""
        def check(*how):
            clients, _ = self.serve(*how, PASSING)
            self.assertEqual(clients.parted, [])

        self.over_servers(check)

    def test_a_fault_that_costs_a_connection_costs_no_other(self):
        """Resets, no descriptors, no memory, no watches: each ends at most one connection."""
        def check(*how):
            clients, tally = self.serve(*how, KINDS)
            self.assertLessEqual(len(clients.parted), tally.total(COSTLY))

        self.over_servers(check)


class Model(FaultTest):
    def test_the_model_of_a_loop_holds_under_faults(self):
        """The random scripts of test_loop_model.c, with faults in every pull and write."""
        for rate in RATES:
            with self.subTest(rate=rate), tempfile.TemporaryDirectory() as directory:
                tally = os.path.join(directory, "tally")
                scripts = {"SLUICE_SEED": str(SEED), "SLUICE_SCRIPTS": "800"}
                model = subprocess.run(
                    [BUILD / "Tests/Core/loop/test_loop_model"], capture_output=True, text=True,
                    timeout=20 * PATIENCE,
                    env=environment(SEED, rate, PASSING, tally, FAULTS_START="off", **scripts))
                self.assertEqual(model.returncode, 0, model.stdout + model.stderr)
                self.assertGreater(Tally(tally).total(), 1000)


CLOCK = """
import select, time
select.select([], [], [], 0)  # faults begin with the first wait
print(*(time.time() for _ in range(20)))
"""


class Interposer(FaultTest):
    def test_every_kind_of_fault_happens_to_a_server(self):
        # A server does not ask for the real-time clock, and only epoll_ctl refuses a watch.
        missing = set(KINDS) - {"clock"}
        for seed in range(SEED, SEED + 20):
            with Server(SERVERS["swift"], "epoll", seed, 300, KINDS) as server:
                Clients(server.address, random.Random(seed), COUNT).run()
                missing -= {kind for kind, count in server.tally().faults.items() if count}
            if not missing:
                break
        self.assertEqual(missing, set())

    def test_the_real_time_clock_jumps(self):
        told = subprocess.run([sys.executable, "-c", CLOCK], capture_output=True, text=True,
                              check=True, env=environment(SEED, 1000, ("clock",), "/dev/null"))
        self.assertGreater(max(abs(float(at) - time.time()) for at in told.stdout.split()), 60)


if __name__ == "__main__":
    unittest.main()
