"""sluice-echo serve: clients that it has no room for, that are idle, or whose queue is too long."""

import re
import select
import time

from flood import KERNEL_ROOM, Flood
from sockets import PATIENCE, exchange, read_exactly, unix_address, wait_for_parting
from support import BACKENDS, ProgramTest, Server, over, run, wait_until

ROUNDS = 200


def last_turn(server):
    return int(re.findall(r"^turn (\d+):", server.output(), re.MULTILINE)[-1])


class NoRoom(ProgramTest):
    """There is room for so many clients, and more come."""

    ROOM = 3
    MORE = 5

    def assert_at_rest(self, server, client):
        """It does not spin while others wait."""
        turns = last_turn(server)
        for _ in range(ROUNDS):
            exchange(client, b"round and round")
        self.assertLessEqual(last_turn(server) - turns, 3 * ROUNDS)
        self.assertLess(server.cpu_share(), 0.3)

    @over(backend=BACKENDS)
    def test_over_the_limit_it_neither_spins_nor_forgets_those_who_wait(self, backend):
        with Server("sluice-echo", "--backend", backend, "--trace",
                    "--max-connections", self.ROOM) as server:
            clients = [self.enterContext(server.connect()) for _ in range(self.ROOM + self.MORE)]
            for client in clients:
                client.sendall(b"let me in")
            served, waiting = clients[:self.ROOM], clients[self.ROOM:]
            for client in served:
                self.assertEqual(read_exactly(client, 9), b"let me in")
            wait_until(lambda: "accepting goes on" in server.errors(), "it says that it is full")
            self.assert_at_rest(server, served[0])
            self.assertEqual(select.select(waiting, [], [], 0)[0], [])
            self.assertEqual(len(server.sockets()), self.ROOM + 1)

            while waiting:
                served.pop(0).close()
                self.assertEqual(read_exactly(waiting[0], 9), b"let me in")
                served.append(waiting.pop(0))
            for client in served:
                client.close()
            self.assert_echoes(server)
            server.wait_for_rest()
            self.assertEqual(server.interrupt()[0], self.ROOM + self.MORE + 1)

    @over(backend=BACKENDS)
    def test_out_of_descriptors_it_neither_spins_nor_leaves_callers_in_the_dark(self, backend):
        with Server("sluice-echo", "--backend", backend, "--trace") as server:
            self.assertEqual(len(server.sockets()), 1)
            server.limit_descriptors(self.ROOM)
            served = [self.enterContext(server.connect()) for _ in range(self.ROOM)]
            for client in served:
                exchange(client, b"let me in")
            for _ in range(self.MORE):
                with server.connect() as client:
                    self.assertEqual(wait_for_parting(client), b"")
            self.assertIn("accepting goes on", server.errors())
            self.assert_at_rest(server, served[0])

            # A client that leaves makes room for a new one.
            for _ in range(self.MORE):
                served.pop(0).close()
                wait_until(lambda: len(server.sockets()) == self.ROOM, "one has left")
                served.append(self.enterContext(server.connect()))
                exchange(served[-1], b"let me in")
            for client in served:
                client.close()
            server.wait_for_rest()
            self.assertEqual(server.interrupt()[0], self.ROOM + self.MORE)


class Idle(ProgramTest):
    @over(backend=BACKENDS)
    def test_who_is_idle_has_to_go_and_who_is_not_may_stay(self, backend):
        while not self.tells_idle_from_busy(backend):
            pass

    def tells_idle_from_busy(self, backend):
        """Returns False if this test was stopped for so long that the busy client was idle, too."""
        with Server("sluice-echo", "--backend", backend, "--idle-timeout", "0.3") as server, \
                server.connect() as idle, server.connect() as busy:
            exchange(idle, b"12345")
            sent, has_gone = 5, False
            begun = time.monotonic()
            while not has_gone:
                has_gone = select.select([idle], [], [], 0.02)[0]
                before, begun = begun, time.monotonic()
                try:
                    exchange(busy, b"still here")
                except (OSError, AssertionError):
                    self.assertGreater(time.monotonic() - before, 0.25, "it was not idle")
                    return False
                sent += 10
            self.assertEqual(idle.recv(1), b"")
            wait_until(lambda: ": idle for 0.3 seconds" in server.output(), "it says so")
            connections, count, lost, unsent = server.interrupt()
            self.assertEqual((connections, count, lost, unsent), (2, sent, 0, 0))
            return True


class Queue(ProgramTest):
    MOST = 64 << 10

    @over(backend=BACKENDS)
    def test_no_more_waits_for_a_client_than_the_limit(self, backend):
        with Server("sluice-echo", "--backend", backend, "--max-queue", self.MOST,
                    address=unix_address()) as server, \
                server.connect() as other, server.connect() as client:
            exchange(other, b"hello")
            flood = Flood(client, other, 64 * KERNEL_ROOM)
            self.assertFalse(flood.parted)
            # Without its own limit it takes 1 MiB, in addition to what the kernel keeps.
            self.assertLess(flood.sent, KERNEL_ROOM // 2 + self.MOST)
            client.settimeout(PATIENCE)
            self.assertTrue(read_exactly(client, flood.sent) == flood.echo())
            exchange(client, b"as before")

    @over(backend=BACKENDS)
    def test_the_least_queue_serves(self, backend):
        data = self.random.randbytes(300_000)
        with Server("sluice-echo", "--backend", backend, "--max-queue", 8192) as server:
            done = run("sluice-echo", "client", "--connect", server.address, input=data)
            self.assertEqual((done.returncode, done.stdout == data), (0, True))


class Refuses(ProgramTest):
    def test_limits_that_are_none(self):
        for option, value in (("--max-connections", 0), ("--max-connections", -1),
                              ("--max-connections", "many"), ("--idle-timeout", 0),
                              ("--idle-timeout", "nan"), ("--idle-timeout", "inf"),
                              ("--idle-timeout", -0.5), ("--max-queue", 8191), ("--max-queue", -1),
                              ("--loops", 0), ("--loops", -3), ("--loops", 1000)):
            with self.subTest(option=option, value=value):
                done = run("sluice-echo", "serve", f"{option}={value}")
                self.assert_refused(done, option, str(value))
                done = run("sluice-echo", "serve", option, value)
                self.assert_refused(done, option, str(value))

    def test_a_time_that_is_none_is_told_the_range(self):
        for value in ("inf", "-1", "2e9"):
            done = run("sluice-echo", "serve", "--idle-timeout", value)
            self.assert_refused(done, "it must be over 0, to 1000000000 seconds")

    def test_several_loops_at_an_address_that_cannot_be_shared(self):
        self.assert_refused(run("sluice-echo", "serve", "--loops", 2), "--reuse-port")
        done = run("sluice-echo", "serve", "--reuse-port", "--loops", 2, "--listen", unix_address())
        self.assert_refused(done, "--loops 2")

    def test_stats_together_with_quiet(self):
        self.assert_refused(run("sluice-echo", "serve", "--stats", "--quiet"), "--stats", "--quiet")
