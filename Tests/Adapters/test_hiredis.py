"""Examples/c/hiredis against Redis: answers, and ends that are not orderly."""

import functools
import re
import signal
import subprocess
import unittest

from adapters import PATIENCE, Server, build, environment, run_program
from sockets import refused_address, unread
from support import wait_until

COUNT = 20_000


@functools.cache
def keys():
    return build("hiredis/keys.c", "hiredis")


def redis(folder, port):
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--save", "", "--appendonly", "no", "--daemonize", "no"]


class HiredisTest(unittest.TestCase):
    def test_every_answer_is_right_and_the_loop_does_other_things_meanwhile(self):
        with Server(redis) as server:
            result = run_program(keys(), server.port, COUNT)
        self.assertEqual(result.returncode, 0, result.stdout)
        found = re.fullmatch(r"(\d+) answered, 0 wrong, (\d+) ticks meanwhile\n", result.stdout)
        self.assertIsNotNone(found, result.stdout)
        self.assertEqual(int(found[1]), COUNT)
        self.assertGreater(int(found[2]), 0)

    def test_nobody_listens(self):
        result = run_program(keys(), refused_address().rpartition(":")[2], 1)
        self.assertEqual(result.returncode, 1)
        self.assertIn("not connected: Connection refused", result.stdout)

    def test_the_server_ends_amid_the_answers(self):
        with Server(redis) as server:
            server.process.send_signal(signal.SIGSTOP)
            with subprocess.Popen([keys(), str(server.port), str(COUNT)], text=True,
                                  env=environment(), stdout=subprocess.PIPE) as program:
                # The kernel accepts the connection, and keeps the requests.
                wait_until(lambda: unread(server.port) > 0, "it has asked")
                server.process.kill()
                output, _ = program.communicate(timeout=PATIENCE)
        self.assertEqual(program.returncode, 1)
        self.assertRegex(output, r"^\d+ answered, [1-9]\d* wrong")


if __name__ == "__main__":
    unittest.main()
