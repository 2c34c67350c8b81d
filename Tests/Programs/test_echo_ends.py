"""sluice-echo serve: how it ends, and what it refuses."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from flood import Flood
from sockets import PATIENCE, exchange, listen, read_all, reset, unix_address
from support import (BACKENDS, PATIENCE_OF_A_STOP, PROGRAMS, ProgramTest, Server, over, run,
                     wait_until)

MANY = 1 << 20
NOBODY = 65534


class Ends(ProgramTest):
    @over(name=("SIGINT", "SIGTERM"), backend=BACKENDS)
    def test_a_signal_ends_it_and_it_says_what_it_served(self, name, backend):
        with Server("sluice-echo", "--backend", backend) as server:
            sizes = [self.random.randint(0, 5000) for _ in range(10)]
            for size in sizes:
                self.assert_echoes(server, self.random.randbytes(size))
            with server.connect() as idle:
                exchange(idle, b"12345")
                self.assertEqual(
                    server.interrupt(getattr(signal, name)), (11, sum(sizes) + 5, 0, 0))
                self.assertEqual(idle.recv(1), b"")

    @over(backend=BACKENDS)
    def test_a_signal_right_after_the_start_ends_it_too(self, backend):
        for _ in range(10):
            with Server("sluice-echo", "--backend", backend) as server:
                self.assertEqual(server.interrupt(), (0, 0, 0, 0))

    @over(backend=BACKENDS)
    def test_a_slow_client_gets_all_that_it_is_owed(self, backend):
        for address in ("127.0.0.1:0", unix_address()):
            with self.subTest(address=address), \
                    Server("sluice-echo", "--backend", backend, address=address) as server, \
                    server.connect() as other, server.connect() as client:
                exchange(other, b"hello")
                flood = Flood(client, other, 64 * MANY)
                server.send_signal(signal.SIGINT)
                wait_until(lambda: len(server.sockets()) == 1, "only the slow client is left")
                client.settimeout(PATIENCE)
                back = read_all(client)
                self.assertTrue(flood.echo().startswith(back), "wrong bytes")
                self.assertGreater(len(back), MANY)
                client.close()
                served = len(b"hello") + flood.exchanged + len(back)
                self.assertEqual(server.summary(), (2, served, 0, 0))

    @over(backend=BACKENDS)
    def test_bytes_that_could_not_be_sent_are_counted(self, backend):
        with Server("sluice-echo", "--backend", backend) as server:
            self.assertEqual(len(server.sockets()), 1)
            client = server.connect()
            wait_until(lambda: len(server.sockets()) == 2, "the client is accepted")
            server.halt()  # for the bytes and the reset to come in one turn
            client.sendall(b"x" * 1000)
            reset(client)
            server.send_signal(signal.SIGCONT)
            server.wait_for_rest()
            self.assertEqual(server.interrupt(), (1, 0, 1, 1000))

    @over(backend=BACKENDS)
    def test_a_second_interrupt_ends_it_at_once(self, backend):
        self.assert_takes_less(PATIENCE_OF_A_STOP, lambda: self.second_interrupt(backend))

    def second_interrupt(self, backend):
        """Returns how many seconds the end took."""
        with Server("sluice-echo", "--backend", backend, address=unix_address()) as server, \
                server.connect() as other, server.connect() as client:
            exchange(other, b"hello")
            Flood(client, other, 64 * MANY)
            start = time.monotonic()
            server.send_signal(signal.SIGINT)
            wait_until(lambda: len(server.sockets()) == 1, "only the slow client is left")
            server.send_signal(signal.SIGINT)
            connections, _, lost, unsent = server.summary()
            took = time.monotonic() - start
            self.assertEqual((connections, lost), (2, 1))
            self.assertGreaterEqual(unsent, MANY)
            return took


class Refuses(ProgramTest):
    def serve(self, *arguments, **options):
        return run("sluice-echo", "serve", *arguments, **options)

    @over(backend=BACKENDS)
    def test_a_port_in_use(self, backend):
        listener, address = listen()
        with listener:
            done = self.serve("--listen", address, "--backend", backend)
            self.assert_refused(done, address, "in use")

    def test_a_unix_socket_in_use(self):
        with tempfile.TemporaryDirectory() as folder:
            for address in (unix_address(), f"unix:{folder}/socket"):
                with self.subTest(address=address), \
                        Server("sluice-echo", address=address) as server:
                    self.assert_refused(self.serve("--listen", address), address, "in use")
                    self.assert_echoes(server)

    def test_a_bad_address(self):
        for address in (
                "", "nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                "127.0.0.1:1x", "256.0.0.1:1", "[::1:1", "[]:1", "unix:", "unix:" + "x" * 200):
            with self.subTest(address=address):
                self.assert_refused(self.serve("--listen", address), f'"{address}"')

    def test_an_address_of_another_machine(self):
        # 203.0.113.0/24 is kept for documentation: nobody has it.
        done = self.serve("--listen", "203.0.113.1:9999")
        self.assert_refused(done, "203.0.113.1:9999", "no address of this machine")

    @over(command=("serve", "client", "load"))
    def test_an_unknown_backend(self, command):
        self.assert_refused(run("sluice-echo", command, "--backend", "kqueue"), "kqueue", "epoll")

    @over(command=("serve", "client", "load"))
    def test_an_unknown_backend_in_the_environment(self, command):
        environment = os.environ | {"SLUICE_BACKEND": "kqueue"}
        self.assert_refused(run("sluice-echo", command, env=environment), "SLUICE_BACKEND=kqueue")

    @over(backend=BACKENDS)
    def test_the_environment_chooses_the_backend_and_the_flag_overrules_it(self, backend):
        environment = os.environ | {"SLUICE_BACKEND": backend}
        with Server("sluice-echo", env=environment) as server:
            self.assertTrue(server.first_line().endswith(f" with {backend}"))
        with Server("sluice-echo", "--backend", "poll", env=environment) as server:
            self.assertTrue(server.first_line().endswith(" with poll"))

    def test_libevent_by_itself_is_the_first_of_its_methods(self):
        with Server("sluice-echo", "--backend", "libevent") as server:
            self.assertTrue(server.first_line().endswith(" with libevent:epoll"))

    def test_trace_together_with_quiet(self):
        self.assert_refused(self.serve("--trace", "--quiet"), "--trace", "--quiet")

    def test_a_privileged_port(self):
        first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        if first == 0:
            self.skipTest("on this machine no port is privileged")
        with tempfile.TemporaryDirectory() as folder:
            command, options = [PROGRAMS / "sluice-echo"], {}
            if os.geteuid() == 0:
                command, options = reachable_for_nobody(folder)
            done = subprocess.run(
                [*command, "serve", "--listen", f"127.0.0.1:{first - 1}"], timeout=PATIENCE,
                stdin=subprocess.DEVNULL, capture_output=True, **options)
            self.assert_refused(done, f"127.0.0.1:{first - 1}", "administrator")

    def test_a_folder_that_may_not_be_written_to(self):
        with tempfile.TemporaryDirectory() as folder:
            command, options = [PROGRAMS / "sluice-echo"], {}
            if os.geteuid() == 0:
                command, options = reachable_for_nobody(folder)
            os.chmod(folder, 0o555)
            done = subprocess.run(
                [*command, "serve", "--listen", f"unix:{folder}/socket"], timeout=PATIENCE,
                stdin=subprocess.DEVNULL, capture_output=True, **options)
            self.assert_refused(done, f"unix:{folder}/socket", "no permission", folder)


def reachable_for_nobody(folder):
    """A copy of the program, with its libraries, that an unprivileged user can run, and how."""
    original = PROGRAMS / "sluice-echo"
    libraries = subprocess.run(["ldd", original], capture_output=True, text=True).stdout
    for file in (original, *re.findall(r"=> (/\S+)", libraries)):
        shutil.copy(file, folder)
    os.chmod(folder, 0o755)
    environment = os.environ | {"LD_LIBRARY_PATH": folder}
    return [Path(folder) / "sluice-echo"], {
        "user": NOBODY, "group": NOBODY, "extra_groups": [], "env": environment, "cwd": "/"}
