"""sluice-echo serve: several loops in as many threads, and what they print each second."""

import os
import re
import signal
import time

from flood import Flood
from sockets import exchange
from storm import CLIENTS, Storm
from support import BACKENDS, PATIENCE_OF_A_STOP, ProgramTest, Server, over, wait_until

LOOPS = 3
MANY = 40  # so many that each loop gets one, except once in 10,000,000 runs
STATS = re.compile(
    r"(?:loop (\d): )?stats: (\d+) connections?, (\d+) bytes? received, (\d+) bytes? sent,"
    r" (\d+) turns?, (\d+) events?, (\d+) bytes? queued, longest gap ([\d.]+) ms")


def several(backend, *options, **keywords):
    return Server("sluice-echo", "--backend", backend, "--reuse-port", "--loops", LOOPS, *options,
                  **keywords)


class SeveralLoops(ProgramTest):
    @over(backend=BACKENDS)
    def test_each_serves_and_the_sum_is_reported(self, backend):
        with several(backend, "--trace") as server:
            self.assertEqual(
                server.first_line(),
                f"listening on {server.address} with {backend} in {LOOPS} loops")
            self.assertEqual(len(os.listdir(f"/proc/{server.pid}/task")), LOOPS)
            for _ in range(MANY):
                self.assert_echoes(server, b"12345")
            with server.connect() as idle:
                exchange(idle, b"12345")
                self.assertEqual(server.interrupt(), (MANY + 1, 5 * (MANY + 1), 0, 0))
                self.assertEqual(idle.recv(1), b"")
            accepting = re.findall(r"^loop (\d): turn \d+: accepted", server.output(), re.MULTILINE)
            self.assertEqual(set(accepting), {str(number + 1) for number in range(LOOPS)})

    @over(backend=BACKENDS)
    def test_survive_a_storm(self, backend):
        with several(backend) as server:
            storm = Storm(server.address, self.random, urgent="ignored")
            storm.run()
            wait_until(lambda: len(server.sockets()) == LOOPS, "all clients are let go")
            connections, count, lost, unsent = server.interrupt(signal.SIGTERM)
            self.assertEqual(connections, CLIENTS)
            self.assertGreaterEqual(count, storm.received)
            self.assertLessEqual(count + unsent, storm.sent)

    def test_a_second_interrupt_ends_all_at_once(self):
        self.assert_takes_less(PATIENCE_OF_A_STOP, self.second_interrupt)

    def second_interrupt(self):
        """Returns how many seconds the end took."""
        with several("epoll") as server, server.connect() as other:
            exchange(other, b"hello")
            # They come one after the other, so that most likely there is one in each loop.
            slow = [self.enterContext(server.connect()) for _ in range(2 * LOOPS)]
            for client in slow:
                Flood(client, other, 1 << 22)
            start = time.monotonic()
            server.send_signal(signal.SIGINT)
            wait_until(lambda: len(server.sockets()) <= len(slow), "the others are let go")
            server.send_signal(signal.SIGINT)
            connections, _, lost, _ = server.summary()
            took = time.monotonic() - start
            self.assertEqual(connections, len(slow) + 1)
            self.assertLessEqual(lost, len(slow))
            return took

    @over(backend=BACKENDS)
    def test_two_servers_share_an_address(self, backend):
        with Server("sluice-echo", "--backend", backend, "--reuse-port") as first, \
                Server("sluice-echo", "--backend", backend, "--reuse-port",
                       address=first.address) as second:
            for _ in range(MANY):
                self.assert_echoes(first, b"12345")
            served = [first.interrupt(), second.interrupt()]
            self.assertEqual(sum(connections for connections, *_ in served), MANY)
            self.assertGreater(min(connections for connections, *_ in served), 0)


class Statistics(ProgramTest):
    def lines(self, server):
        lines = [line for line in server.output().splitlines() if "stats: " in line]
        return [STATS.fullmatch(line).groups() for line in lines]

    @over(backend=BACKENDS)
    def test_a_line_each_second_says_what_was_done_in_it(self, backend):
        with Server("sluice-echo", "--backend", backend, "--stats") as server, \
                server.connect() as client:
            begin = time.monotonic()
            exchange(client, b"x" * 1000)
            # All is counted once, in the line of whichever second it was done in.
            for total in (1000, 1001):
                wait_until(lambda: min(self.bytes_told(server)) >= total, "a line")
                self.assertEqual(self.bytes_told(server), (total, total))
                if total == 1000:
                    exchange(client, b"x")
            lines = self.lines(server)
            self.assertLessEqual(len(lines), time.monotonic() - begin + 2)
            for line in lines:
                self.assertEqual((line[0], line[6]), (None, "0"))
                # The timer, and perhaps an accept and some pieces.
                turns, events = map(int, line[4:6])
                self.assertTrue(1 <= turns < 50 and 1 <= events < 50, line)
            self.assertEqual(lines[-1][1], "1")
            self.assertEqual(server.interrupt(), (1, 1001, 0, 0))

    def bytes_told(self, server):
        """The sums of the bytes received and sent in all lines."""
        lines = self.lines(server)
        return sum(int(line[2]) for line in lines), sum(int(line[3]) for line in lines)

    def test_each_loop_has_its_own(self):
        with several("epoll", "--stats") as server:
            wait_until(lambda: {line[0] for line in self.lines(server)} == {"1", "2", "3"},
                       "a line of each loop")
