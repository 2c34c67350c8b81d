"""Connecting by name, with the helper thread, under faults."""

import os
import subprocess
import tempfile
import unittest

from faults import BACKENDS, BUILD, COSTLY, KINDS, PASSING, PATIENCE, SEED, Tally
from faults import environment

COUNT = 100
RATES = (20, 100, 300)


class Names(unittest.TestCase):
    def connect(self, backend, rate, kinds):
        """How many were resolved, echoed and ended with an error, and the tally."""
        with tempfile.TemporaryDirectory() as directory:
            tally = os.path.join(directory, "tally")
            run = subprocess.run(
                [BUILD / "connect-by-name", str(COUNT)], capture_output=True, text=True,
                timeout=6 * PATIENCE,
                env=environment(SEED + rate, rate, kinds, tally, SLUICE_BACKEND=backend))
            self.assertEqual(run.returncode, 0, f"seed {SEED}: {run.stdout}{run.stderr}")
            return *map(int, run.stdout.split()), Tally(tally)

    def over_backends(self, kinds, check):
        for backend in BACKENDS:
            for rate in RATES:
                with self.subTest(backend=backend, rate=rate, seed=SEED):
                    check(*self.connect(backend, rate, kinds))

    def test_nothing_is_lost_to_what_passes(self):
        def check(resolved, echoed, failed, tally):
            self.assertEqual((resolved, echoed, failed), (COUNT, COUNT, 0))
            self.assertGreater(tally.total(), 0)

        self.over_backends(PASSING, check)

    def test_each_has_an_end_whatever_happens(self):
        def check(resolved, echoed, failed, tally):
            self.assertEqual((resolved, echoed + failed), (COUNT, COUNT))
            self.assertLessEqual(failed, tally.total(COSTLY))

        self.over_backends(KINDS, check)


if __name__ == "__main__":
    unittest.main()
