"""sluice-echo: names as addresses, messages about wrong addresses, and a socket that is handed over."""

import os
import socket
import subprocess
import tempfile

from sockets import PATIENCE, listen
from support import BACKENDS, ProgramTest, Server, over, program, run

UNKNOWN = "sluice.invalid:80"  # a name that nobody has: RFC 6761


class HandedOver(Server):
    """A server that is started in the way of sd_listen_fds(3): its first socket is descriptor 3."""

    def __init__(self, listener, count, *arguments, pid="$$"):
        super().__init__("sluice-echo", pass_fds=[listener.fileno()],
                         env=os.environ | {"LISTEN_FDS": str(count)})
        script = f'LISTEN_PID={pid}; export LISTEN_PID; exec "$@" 3<&{listener.fileno()}'
        self.command = ["sh", "-c", script, "sh", *program("sluice-echo", "serve", *arguments)]


class Names(ProgramTest):
    @over(backend=BACKENDS)
    def test_a_server_and_its_clients_by_name(self, backend):
        with Server("sluice-echo", "--backend", backend, address="localhost:0") as server:
            name = "localhost:" + server.address.rpartition(":")[2]
            done = run("sluice-echo", "client", "--connect", name, "--backend", backend,
                       input=b"hello\n")
            self.assertEqual((done.returncode, done.stdout), (0, b"hello\n"), done.stderr)
            done = run("sluice-echo", "load", "--connect", name, "--backend", backend,
                       "--duration", "0.1", "--connections", 20)
            self.assertEqual(done.returncode, 0, done.stderr)

    @over(command=("client", "load"))
    def test_a_name_that_is_not_found_is_one_line(self, command):
        done = run("sluice-echo", command, "--connect", UNKNOWN)
        self.assert_refused(done, f'cannot connect to "{UNKNOWN}": ')
        self.assertNotIn(b"SLUICE_", done.stderr)

    @over(command=("serve", "client", "load"))
    def test_what_is_wrong_with_an_address_is_one_sentence(self, command):
        option = "--listen" if command == "serve" else "--connect"
        for address, sentence in (
                ("127.0.0.1:99999", "the port 99999 is out of range: 65535 is the highest"),
                ("127.0.0.1", "no port: write 127.0.0.1:9999"),
                ("unix:", "the unix path is empty: write unix:/run/echo.sock or unix:@echo"),
                ("unix:" + "x" * 200, "the unix path has 200 bytes"),
                ("unix:/none/such/socket", "the folder /none/such is not there"),
                ("unix:/etc", "/etc is in the way: it is a folder, and no socket"),
                (f"unix:{__file__}", f"{__file__} is in the way: it is a file, and no socket")):
            with self.subTest(address=address):
                done = run("sluice-echo", command, option, address)
                self.assert_refused(done, f'"{address}": {sentence}')
                self.assertNotIn(b"SLUICE_", done.stderr)

    @over(command=("client", "load"))
    def test_a_unix_socket_that_is_not_there(self, command):
        with tempfile.TemporaryDirectory() as folder:
            address = f"unix:{folder}/socket"
            done = run("sluice-echo", command, "--connect", address)
            self.assert_refused(done, f"cannot connect to {address}: no socket is there (ENOENT)",
                                f"sluice-echo serve --listen {address}")


class HandedOverTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.listener, self.where = listen()
        self.addCleanup(self.listener.close)

    @over(backend=BACKENDS)
    def test_a_socket_is_served_that_listens_already(self, backend):
        with HandedOver(self.listener, 1, "--backend", backend) as server:
            self.assertEqual(server.address, self.where)
            self.assert_echoes(server, b"hello")
            server.wait_for_rest()
            self.assertEqual(server.interrupt(), (1, 5, 0, 0))

    def test_an_address_that_was_given_comes_first(self):
        with HandedOver(self.listener, 1, "--listen", "127.0.0.1:0") as server:
            self.assertNotEqual(server.address, self.where)
            self.assert_echoes(server)

    def test_what_was_meant_for_another_process_is_left_alone(self):
        # The backend is refused next.
        server = HandedOver(self.listener, 2, pid="1")
        server.options["env"]["SLUICE_BACKEND"] = "kqueue"
        self.assert_refused(run_to_end(server), "SLUICE_BACKEND=kqueue")

    def test_what_cannot_be_served_is_refused(self):
        for count, arguments, word in ((2, [], "LISTEN_FDS=2"), (0, [], "LISTEN_FDS=0"),
                                       (1, ["--loops", 2, "--reuse-port"], "--loops 2")):
            with self.subTest(count=count, arguments=arguments):
                server = HandedOver(self.listener, count, *arguments)
                self.assert_refused(run_to_end(server), word)

    def test_a_socket_that_does_not_listen_is_refused(self):
        with socket.socket() as other:
            done = run_to_end(HandedOver(other, 1))
            self.assert_refused(done, "descriptor 3", "SLUICE_ENOLISTEN")


def run_to_end(server):
    return subprocess.run(server.command, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE, check=False, **server.options)
