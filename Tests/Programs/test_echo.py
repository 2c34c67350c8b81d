"""sluice-echo client: what it sends, prints and compares, and how it fails."""

import fcntl
import os
import re
import socket
import struct
import subprocess
import tempfile
import termios
import unittest
from pathlib import Path

from sockets import (accept, has_been_read, listen, read_all, read_exactly, refused_address, reset,
                     unix_address)
from support import BACKENDS, Program, ProgramTest, Server, over, run, wait_until
from terminal import END_OF_INPUT, AtTerminal

SIZES = (0, 1, 4095, 4096, 4097, 1 << 16, 3 << 20)
PROMPT = b">>: "
PAGE = os.sysconf("SC_PAGE_SIZE")


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def echo(*arguments, **options):
    return run("sluice-echo", "client", *arguments, **options)


class EveryByteComesBack(ProgramTest):
    def assert_echoed(self, done, data):
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertTrue(done.stdout == data, f"{len(done.stdout)} of {len(data)} bytes, or others")

    @over(client=BACKENDS, server=BACKENDS)
    def test_every_size_comes_back(self, client, server):
        with Server("sluice-echo", "--backend", server) as running:
            for size in SIZES:
                with self.subTest(size=size):
                    data = self.random.randbytes(size)
                    done = echo("--connect", running.address, "--backend", client, input=data)
                    self.assert_echoed(done, data)

    @over(backend=BACKENDS)
    def test_input_is_a_file_a_pipe_or_nothing(self, backend):
        data = self.random.randbytes(300_000)
        with Server("sluice-echo") as server, tempfile.TemporaryFile() as file:
            arguments = ("--connect", server.address, "--backend", backend)
            file.write(data)
            file.seek(0)
            self.assert_echoed(echo(*arguments, stdin=file), data)
            self.assert_echoed(echo(*arguments, input=data), data)
            self.assert_echoed(echo(*arguments, stdin=subprocess.DEVNULL), b"")

    @over(backend=BACKENDS)
    def test_output_to_a_file(self, backend):
        data = self.random.randbytes(300_000)
        with Server("sluice-echo") as server, tempfile.TemporaryFile() as file:
            done = echo("--connect", server.address, "--backend", backend, input=data, stdout=file)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            file.seek(0)
            self.assertTrue(file.read() == data)

    @over(backend=BACKENDS)
    def test_output_to_a_slow_reader(self, backend):
        data = self.random.randbytes(3 << 20)
        with Server("sluice-echo") as server, tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            with Program("sluice-echo", "client", "--connect", server.address, "--backend", backend,
                         stdin=file, stdout=subprocess.PIPE, bufsize=0) as client:
                # The reader does nothing until the pipe is full. Then the client does nothing either.
                room = fcntl.fcntl(client.process.stdout, fcntl.F_GETPIPE_SZ)
                wait_until(lambda: held(client.process.stdout) > room - PAGE, "the pipe is full")
                wait_until(lambda: client.cpu_share() < 0.3, "the client rests")
                self.assertLess(file.tell(), len(data))
                back = bytearray()
                while piece := client.process.stdout.read(self.random.randint(1, 20000)):
                    back += piece
                client.process.stdout.close()
                self.assertTrue(back == data)
                self.assertEqual(client.wait(), 0)

    @over(form=("unix", "abstract", "ipv6"), backend=BACKENDS)
    def test_every_form_of_address(self, form, backend):
        if form == "ipv6" and not has_ipv6():
            raise unittest.SkipTest("this machine has no IPv6")
        with tempfile.TemporaryDirectory() as folder:
            address = {"unix": f"unix:{folder}/echo.sock", "abstract": unix_address(),
                       "ipv6": "[::1]:0"}[form]
            with Server("sluice-echo", "--backend", backend, address=address) as server:
                if form != "ipv6":
                    self.assertEqual(server.address, address)
                data = self.random.randbytes(100_000)
                self.assert_echoed(
                    echo("--connect", server.address, "--backend", backend, input=data), data)


def held(pipe):
    """How many bytes are in a pipe."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def steady(value):
    """Waits until `value()` has been the same many times. It also is while a program waits for a processor. So
    no check may depend on this."""
    looks = []

    def look():
        looks.append(value())
        return len(looks) >= 20 and len(set(looks[-20:])) == 1

    wait_until(look, "it comes to rest")


class OutputFails(ProgramTest):
    @over(backend=BACKENDS)
    def test_a_closed_pipe_is_one_line(self, backend):
        reader, writer = os.pipe()
        os.close(reader)
        with Server("sluice-echo") as server:
            done = echo("--connect", server.address, "--backend", backend, input=b"x" * 100_000,
                        stdout=writer)
            os.close(writer)
            self.assert_refused(done, "standard output", "pipe")

    @over(backend=BACKENDS)
    def test_a_full_device_is_one_line(self, backend):
        with Server("sluice-echo") as server, open("/dev/full", "wb") as full:
            done = echo("--connect", server.address, "--backend", backend, input=b"x" * 100_000,
                        stdout=full)
            self.assert_refused(done, "standard output", "space")


class ServerFails(ProgramTest):
    """The server is a socket of ours."""

    def start(self, backend, data, **options):
        listener, address = listen()
        with listener, tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            client = self.enterContext(Program(
                "sluice-echo", "client", "--connect", address, "--backend", backend,
                stdin=file, **options))
            return client, self.enterContext(accept(listener))

    def assert_counts(self, client, back, read=None):
        """The client failed, and said in one line how many bytes came back and how many did not."""
        self.assertEqual(client.wait(), 1)
        self.assertRegex(client.errors(), r"\A(Error|sluice-echo): [^\n]+\n\Z")
        numbers = [int(word) for word in client.errors().split() if word.isdigit()]
        *_, came, missing = numbers
        self.assertIn(f"{came} bytes came back and {missing} did not", client.errors())
        self.assertEqual(came, back)
        self.assertGreater(missing, 0)
        if read is not None:
            self.assertEqual(came + missing, read)

    @over(backend=BACKENDS)
    def test_a_server_that_resets_midway(self, backend):
        client, server = self.start(backend, b"x" * (1 << 20))
        server.sendall(read_exactly(server, 10_000))
        wait_until(lambda: len(client.output()) == 10_000, "the echo is printed")
        reset(server)
        self.assert_counts(client, 10_000)

    @over(backend=BACKENDS)
    def test_a_server_that_closes_early(self, backend):
        client, server = self.start(backend, b"x" * 10_000)
        server.sendall(read_all(server)[:1234])
        server.close()
        self.assert_counts(client, 1234, read=10_000)
        self.assertEqual(client.output(), "x" * 1234)

    @over(backend=BACKENDS)
    def test_a_server_that_never_answers_and_then_closes(self, backend):
        client, server = self.start(backend, b"x" * 10_000)
        self.assertEqual(len(read_all(server)), 10_000)
        server.close()
        self.assert_counts(client, 0, read=10_000)

    @over(backend=BACKENDS)
    def test_what_came_back_before_the_server_vanished_is_printed(self, backend):
        # More than the pipe holds: the rest waits in the client when the server vanishes.
        client, server = self.start(backend, b"x" * (1 << 19), stdout=subprocess.PIPE, bufsize=0)
        echo = read_exactly(server, 400_000)
        server.sendall(echo)
        # A reset would discard what the client has not read yet.
        wait_until(lambda: has_been_read(server), "the client has read it")
        reset(server)
        steady(client.cpu_seconds)
        printed = client.process.stdout.read(1 << 20)
        while piece := client.process.stdout.read(1 << 20):
            printed += piece
        client.process.stdout.close()
        self.assert_counts(client, len(printed))
        self.assertEqual(len(printed), 400_000)

    @over(backend=BACKENDS)
    def test_a_wrong_byte_is_said(self, backend):
        client, server = self.start(backend, b"right" * 1000)
        answer = bytearray(read_all(server))
        answer[4321] ^= 1
        server.sendall(answer)
        self.assertEqual(client.wait(), 1)
        self.assertRegex(client.errors(), r"\AError: [^\n]*differs[^\n]*\n\Z")

    @over(backend=BACKENDS)
    def test_a_byte_that_was_not_sent_is_said(self, backend):
        client, server = self.start(backend, b"right")
        server.sendall(read_all(server) + b"!")
        self.assertEqual(client.wait(), 1)
        self.assertRegex(client.errors(), r"\AError: [^\n]*differs[^\n]*\n\Z")

    @over(backend=BACKENDS)
    def test_a_refused_connection_is_one_line(self, backend):
        done = echo("--connect", refused_address(), "--backend", backend, input=b"hello")
        self.assert_refused(done, "refused")

    def test_a_bad_address_is_one_line(self):
        for address in ("", "nonsense", "127.0.0.1", "127.0.0.1:65536", "unix:/none/such"):
            with self.subTest(address=address):
                self.assert_refused(echo("--connect", address), address)


class Interactive(ProgramTest):
    @over(backend=BACKENDS)
    def test_the_terminal_is_left_as_it_is_for_others_who_have_it(self, backend):
        with Server("sluice-echo") as server, AtTerminal(
                "sluice-echo", "client", "--connect", server.address,
                "--backend", backend) as client:
            client.type(b"hello\n")
            client.wait_to_see(b"hello\n" + PROMPT)
            # A signal that kills would leave the terminal as it is now.
            for number in (0, 1):
                information = Path(f"/proc/{client.pid}/fdinfo/{number}").read_text()
                flags = int(re.search(r"^flags:\s+(\d+)", information, re.MULTILINE)[1], 8)
                self.assertEqual(flags & os.O_NONBLOCK, 0)

    @over(backend=BACKENDS)
    def test_prompts_and_answers_until_the_end_of_input(self, backend):
        with Server("sluice-echo") as server, AtTerminal(
                "sluice-echo", "client", "--connect", server.address,
                "--backend", backend) as client:
            for line in (b"hello\n", b"and again\n"):
                self.assertEqual(client.wait_to_see(PROMPT), b"")
                client.type(line)
                self.assertEqual(client.wait_to_see(line), b"")
            client.wait_to_see(PROMPT)
            client.type(END_OF_INPUT)
            self.assertEqual(client.wait(), 0)
            self.assertEqual(client.errors(), "")
