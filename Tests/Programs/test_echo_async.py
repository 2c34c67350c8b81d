"""sluice-echo with --async: most of its tests, over the best backend and over libevent."""

import fnmatch
import signal
import time
import unittest

import support
import test_echo
import test_echo_ends
import test_echo_limits
import test_echo_load
import test_echo_loops
import test_echo_serve
from flood import Flood
from sockets import PATIENCE, exchange, read_all, unix_address
from support import Server, run

ESSENTIAL = {
    test_echo.EveryByteComesBack: ("*_epoll",),
    test_echo.OutputFails: ("*_epoll",),
    test_echo.ServerFails: ("*_epoll", "*_bad_address_*"),
    test_echo.Interactive: ("*_epoll",),
    test_echo_serve.Serves: ("*_epoll",),
    test_echo_serve.Prints: ("test_quiet_*_epoll",),
    test_echo_ends.Ends: ("*_SIGTERM_epoll", "test_a_signal_right_*_epoll"),
    test_echo_ends.Refuses: ("*_in_use*", "test_a_bad_address", "test_an_unknown_backend_*",
                             "test_the_environment_*_epoll"),
    test_echo_limits.Idle: ("*_epoll",),
    test_echo_limits.Queue: ("*_epoll",),
    test_echo_loops.SeveralLoops: ("test_survive_*_epoll", "test_two_servers_*_epoll"),
    test_echo_load.EveryMessageComesBack: ("*_epoll", "test_where_*"),
    test_echo_load.Progress: ("*",),
    test_echo_load.ServerFails: ("*_epoll", "test_a_message_*", "test_what_*"),
    test_echo_load.Interrupts: ("*_epoll",),
    test_echo_load.Refuses: ("*_epoll", "test_a_server_*", "test_a_bad_address"),
}


class Async:
    def setUp(self):
        support.way[:] = ["--async"]
        self.addCleanup(support.way.clear)
        super().setUp()


def essential(base, patterns):
    """The tests of `base` with such names, with --async."""
    names = [name for name in dir(base) if name.startswith("test_")]
    chosen = {name for pattern in patterns for name in fnmatch.filter(names, pattern)}
    # A name that is None is not a test.
    rest = {name: None for name in names if name not in chosen}
    assert chosen, (base, patterns)
    return type(f"{base.__name__}Async", (Async, base), {"__module__": __name__} | rest)


class Ends(Async, support.ProgramTest):
    @support.over(backend=("epoll", "libevent:epoll"))
    def test_a_slow_client_gets_all_that_it_is_owed(self, backend):
        with Server("sluice-echo", "--backend", backend, address=unix_address()) as server, \
                server.connect() as other, server.connect() as client:
            exchange(other, b"hello")
            flood = Flood(client, other, 64 << 20)
            server.send_signal(signal.SIGINT)
            # Its handler is told, and goes on with what it has read.
            self.assertEqual(read_all(other), b"")
            other.close()
            client.settimeout(PATIENCE)
            back = read_all(client)
            self.assertTrue(flood.echo().startswith(back), "wrong bytes")
            self.assertGreater(len(back), 1 << 20)
            client.close()
            served = len(b"hello") + flood.exchanged + len(back)
            self.assertEqual(server.summary(), (2, served, 0, 0))

    def test_a_second_interrupt_ends_it_at_once(self):
        self.assert_takes_less(support.PATIENCE_OF_A_STOP, self.second_interrupt)

    def second_interrupt(self):
        """Returns how many seconds the end took."""
        with Server("sluice-echo", address=unix_address()) as server, \
                server.connect() as other, server.connect() as client:
            exchange(other, b"hello")
            Flood(client, other, 64 << 20)
            start = time.monotonic()
            server.send_signal(signal.SIGINT)
            self.assertEqual(read_all(other), b"")
            other.close()
            server.send_signal(signal.SIGINT)
            connections, _, lost, _ = server.summary()
            took = time.monotonic() - start
            self.assertEqual((connections, lost), (2, 1))
            return took


class Refuses(support.ProgramTest):
    @support.over(option=("--trace", "--stats"))
    def test_what_shows_a_pulled_loop(self, option):
        self.assert_refused(run("sluice-echo", "serve", "--async", option), option, "--async")


def load_tests(loader, tests, pattern):
    for base, patterns in ESSENTIAL.items():
        tests.addTests(loader.loadTestsFromTestCase(essential(base, patterns)))
    return tests


if __name__ == "__main__":
    unittest.main()
