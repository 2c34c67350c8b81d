"""sluice-echo without a standard input or output, or with an output that takes no more."""

import contextlib
import signal
import subprocess

from sockets import PATIENCE, exchange, unix_address, wait_for_parting
from support import BACKENDS, ProgramTest, Server, over, program

TELLING = ("poll", "epoll")  # for a pipe whose reader has gone, without a write


def run_redirected(redirection, *arguments):
    """Runs it as a shell does if that is after the command."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *program("sluice-echo", *arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)


class Redirected(Server):
    """A server that is started with a redirection, at an address of our choice."""

    def __init__(self, redirection, *arguments):
        super().__init__("sluice-echo", *arguments, address=unix_address())
        self.command = ["sh", "-c", f'exec "$@" {redirection}', "sh", *self.command]
        self.says_where = False


class OutputTest(ProgramTest):
    def assert_failed(self, server, words):
        """It has ended with an exit code other than 0, and one line says so."""
        self.assertEqual(server.wait(), 1)
        self.assertRegex(server.errors(), rf"\Asluice-echo: [^\n]*standard output[^\n]*{words}\n\Z")


class ClosedFromTheStart(OutputTest):
    @over(backend=BACKENDS)
    def test_a_client_says_that_standard_input_is_closed(self, backend):
        done = run_redirected("<&-", "client", "--backend", backend)
        self.assert_refused(done, "standard input is closed", "</dev/null")
        self.assertEqual(done.returncode, 1)

    @over(command=("client", "load"))
    def test_what_prints_at_its_end_says_that_standard_output_is_closed(self, command):
        done = run_redirected(">&-", command)
        self.assert_refused(done, "standard output is closed", ">/dev/null")
        self.assertEqual(done.returncode, 1)

    def test_descriptors_that_are_open_the_wrong_way_round(self):
        self.assert_refused(run_redirected("0>/dev/null", "client"), "not open for reading")
        self.assert_refused(run_redirected("1</dev/null", "client"), "not open for writing")

    def test_a_standard_input_that_cannot_be_read(self):
        with Server("sluice-echo") as server:
            done = run_redirected("</", "client", "--connect", server.address)
            self.assert_refused(done, "cannot read standard input", "EISDIR")

    def test_all_three(self):
        done = run_redirected("<&- >&- 2>&-", "client")
        self.assertEqual((done.returncode, done.stderr), (1, b""))

    @over(backend=BACKENDS)
    def test_no_line_of_a_server_goes_to_a_client(self, backend):
        with Redirected("<&- >&-", "--backend", backend) as server:
            with server.connect() as client:
                for _ in range(5):
                    exchange(client, b"hello")
            server.send_signal(signal.SIGINT)
            self.assert_failed(server, "Bad file descriptor; it goes on without")


class TakesNoMore(OutputTest):
    @over(backend=BACKENDS, option=("--trace", "--stats"))
    def test_what_shows_events_ends_when_nobody_sees_them(self, backend, option):
        with Server("sluice-echo", "--backend", backend, option, address=unix_address(),
                    stdout=subprocess.PIPE) as server:
            with server.connect() as client:
                exchange(client, b"hello")
                server.process.stdout.close()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have ended already
                    client.send(b"bye")
                wait_for_parting(client)
            self.assert_failed(server, "Broken pipe; that ends it")

    @over(backend=TELLING)
    def test_it_ends_without_an_event_too(self, backend):
        with Server("sluice-echo", "--backend", backend, "--trace", address=unix_address(),
                    stdout=subprocess.PIPE) as server:
            server.process.stdout.close()
            self.assert_failed(server, "that ends it")

    @over(backend=BACKENDS)
    def test_one_of_several_loops_ends_all(self, backend):
        server = Server("sluice-echo", "--backend", backend, "--stats", "--reuse-port", "--loops", 3,
                        stdout=subprocess.PIPE)
        server.says_where = False
        server.listens = lambda: server.process.stdout.readline()
        with server:
            server.process.stdout.close()
            self.assert_failed(server, "that ends it")

    @over(backend=BACKENDS, loops=("1", "3"))
    def test_a_device_that_is_full_from_the_start(self, backend, loops):
        done = run_redirected(">/dev/full", "serve", "--listen", "127.0.0.1:0", "--trace",
                              "--backend", backend, "--reuse-port", "--loops", loops)
        self.assert_refused(done, "standard output", "No space left", "that ends it")
        self.assertEqual(done.returncode, 1)

    @over(backend=BACKENDS)
    def test_a_server_that_shows_nothing_serves_on_and_says_so_once(self, backend):
        with Redirected(">/dev/full", "--backend", backend) as server:
            for _ in range(5):
                self.assert_echoes(server)
            server.send_signal(signal.SIGINT)
            self.assert_failed(server, "No space left on device; it goes on without")

    @over(backend=BACKENDS)
    def test_it_serves_on_when_the_reader_of_its_output_has_gone(self, backend):
        with Server("sluice-echo", "--backend", backend, address=unix_address(),
                    stdout=subprocess.PIPE) as server:
            server.process.stdout.close()
            for _ in range(5):
                self.assert_echoes(server)
            server.send_signal(signal.SIGINT)
            self.assert_failed(server, "it goes on without")

    def test_a_load_whose_report_is_lost(self):
        with Server("sluice-echo") as server:
            done = run_redirected(">/dev/full", "load", "--connect", server.address,
                                  "--duration", 0.1)
            self.assert_refused(done, "standard output", "No space left")
