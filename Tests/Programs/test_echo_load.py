"""sluice-echo load: what it sends, compares and reports, and how it fails."""

import contextlib
import itertools
import json
import os
import pty
import re
import resource
import selectors
import signal
import socket
import subprocess
import time

from sockets import (PATIENCE, accept, listen, read_exactly, refused_address, reset, socket_address,
                     unix_address)
from support import BACKENDS, Program, ProgramTest, Server, over, program, run, wait_until
from terminal import AtTerminal

RECEIVED_AT_ONCE = 256 << 10
# By name: how many connections, messages under way on each, and bytes of a message.
SHAPES = {
    "bytes": (3, 1, 1),
    "pipelines": (20, 16, 64),
    "deep": (2, 1024, 100),
    "large": (4, 3, RECEIVED_AT_ONCE + 12345),
    "huge": (1, 1, 4 << 20),
    "many": (1000, 1, 64),
}
TIME = r"[\d.,]+ µs"
REPORT = re.compile(
    r"(\d+) connections?, with (\d+) messages? of (\d+) bytes? under way on each;"
    r" ([\d.]+) s with ([\w:]+)(; every byte compared)?\n"
    r"throughput  [\d,]+ messages/s, [\d.]+ MB/s each way\n"
    rf"latency     p50 {TIME}, p90 {TIME}, p99 {TIME}, p99.9 {TIME}, p99.99 {TIME}, max {TIME}\n"
    rf"((?: +[\d,]+ to {TIME} +[\d.]+ %(?:  #+)?\n)+)")


def load(address, *options, **keywords):
    return run("sluice-echo", "load", "--connect", address, *options, **keywords)


class LoadTest(ProgramTest):
    def assert_adds_up(self, report):
        returned, size, times = report["returned"], report["size"], report["latency_ns"]
        self.assertEqual(report["sent"], returned)
        self.assertGreaterEqual(returned, report["connections"] * report["pipeline"])

        in_time = report["messages_per_second"] * report["seconds"]
        under_way = report["connections"] * report["pipeline"]
        self.assertTrue(returned - under_way - 0.5 < in_time < returned + 0.5, report)
        self.assertAlmostEqual(
            report["bytes_per_second"], report["messages_per_second"] * size, delta=1)

        histogram = report["histogram"]
        self.assertEqual(sum(bucket["count"] for bucket in histogram), returned)
        for bucket, following in itertools.pairwise(histogram):
            self.assertEqual(bucket["below_ns"], following["from_ns"])
            self.assertEqual(2 * following["from_ns"], following["below_ns"])
        self.assertTrue(histogram[0]["count"] and histogram[-1]["count"])

        order = [times[name] for name in ("min", "p50", "p90", "p99", "p99_9", "p99_99", "max")]
        self.assertEqual(order, sorted(order))
        self.assertTrue(times["min"] * 0.99 <= times["mean"] <= times["max"] * 1.01, times)
        self.assertTrue(histogram[0]["from_ns"] <= times["min"] < histogram[0]["below_ns"])
        self.assertTrue(histogram[-1]["from_ns"] <= times["max"] < histogram[-1]["below_ns"])


class EveryMessageComesBack(LoadTest):
    @over(shape=SHAPES, backend=BACKENDS)
    def test_of_every_shape_and_the_report_adds_up(self, shape, backend):
        connections, pipeline, size = SHAPES[shape]
        with Server("sluice-echo", "--backend", backend) as server:
            done = load(server.address, "--backend", backend, "--connections", connections,
                        "--pipeline", pipeline, "--size", size, "--duration", 0.2, "--verify",
                        "--json")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            report = json.loads(done.stdout)
            self.assertEqual(
                {name: report[name] for name in (
                    "address", "backend", "connections", "pipeline", "size", "verified")},
                {"address": server.address, "backend": backend, "connections": connections,
                 "pipeline": pipeline, "size": size, "verified": True})
            # The loop's timers count from its last wait, which was a little earlier.
            self.assertGreater(report["seconds"], 0.1)
            self.assert_adds_up(report)
            self.assertEqual(server.interrupt(), (connections, report["sent"] * size, 0, 0))

    @over(backend=BACKENDS)
    def test_the_report_for_people(self, backend):
        with Server("sluice-echo") as server:
            for options, compared in (((), None), (("--verify",), "; every byte compared")):
                done = load(server.address, "--backend", backend, "--duration", 0.2, *options)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                found = REPORT.fullmatch(done.stdout.decode())
                self.assertIsNotNone(found, done.stdout.decode())
                *shape, rows = found.groups()
                self.assertEqual(shape[:3], ["50", "1", "64"])
                self.assertEqual(shape[4:], [backend, compared])
                shares = [float(share) for share in re.findall(r"([\d.]+) %", rows)]
                self.assertAlmostEqual(sum(shares), 100, delta=0.01 * len(shares))

    @over(backend=BACKENDS)
    def test_over_a_unix_socket_whose_name_json_has_to_escape(self, backend):
        address = unix_address() + '"\\é'
        with Server("sluice-echo", address=address) as server:
            done = load(server.address, "--backend", backend, "--duration", 0.1, "--json")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            report = json.loads(done.stdout)
            self.assertEqual(report["address"], address)
            self.assert_adds_up(report)

    def test_where_a_unix_listener_has_no_room_for_all_at_once(self):
        connections, address = 20, unix_address()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(socket_address(address)[1])
            listener.listen(1)
            listener.settimeout(PATIENCE)
            with Program("sluice-echo", "load", "--connect", address, "--verify",
                         "--connections", connections, "--duration", 0.1) as client:
                echo_to_the_end(
                    [self.enterContext(accept(listener)) for _ in range(connections)])
                self.assertEqual((client.wait(), client.errors()), (0, ""))
                self.assertRegex(client.output(), f"^{connections} connections, ")


def echo_to_the_end(connections):
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(PATIENCE):
                if piece := key.fileobj.recv(1 << 16):
                    key.fileobj.sendall(piece)
                else:
                    selector.unregister(key.fileobj)


class Progress(LoadTest):
    BAR = rb"\[#*-*\] \d\.\d s  [\d,]+ messages\x1b\[K"

    def test_a_bar_on_a_terminal_and_then_the_report(self):
        with Server("sluice-echo") as server, \
                AtTerminal("sluice-echo", "load", "--connect", server.address, "--duration", 10,
                           stderr=subprocess.STDOUT) as client:
            bars = client.wait_to_see(b"#-") + b"#-"
            client.process.send_signal(signal.SIGINT)
            bars += client.wait_to_see(b"\r\x1b[K")
            self.assertRegex(bars, rb"\A(\r" + self.BAR + rb")+\Z")
            self.assertGreater(len(set(re.findall(rb"\[.*?\]", bars))), 1, "it does not move")
            self.assertEqual(client.wait(), 0)
            while client.look(PATIENCE):
                pass
            self.assertIsNotNone(REPORT.fullmatch(client.shown.decode()), client.shown)

    def test_the_bar_is_on_standard_error_and_the_report_is_not(self):
        terminal, its_side = pty.openpty()
        self.addCleanup(os.close, terminal)
        with Server("sluice-echo") as server:
            command = program("sluice-echo", "load", "--connect", server.address, "--json",
                              "--duration", 0.3)
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=its_side,
                    timeout=PATIENCE)
            finally:
                os.close(its_side)
            self.assertEqual(done.returncode, 0)
            self.assert_adds_up(json.loads(done.stdout))
            self.assertRegex(os.read(terminal, 1 << 16), rb"\A\r" + self.BAR)


class ServerFails(LoadTest):
    """The server is a socket of ours."""

    SIZE = 100

    def start(self, backend, *options):
        """One connection, on which there will be several messages of SIZE bytes."""
        listener, address = listen()
        with listener:
            client = self.enterContext(Program(
                "sluice-echo", "load", "--connect", address, "--backend", backend,
                "--connections", 1, "--size", self.SIZE, *options))
            return client, self.enterContext(accept(listener))

    def assert_failed(self, client, pattern):
        """It exits with 1, and one line says why."""
        self.assertEqual(client.wait(), 1)
        self.assertRegex(client.errors(), rf"\AError: {pattern}\n\Z")

    @over(backend=BACKENDS)
    def test_one_wrong_byte_is_said_and_where(self, backend):
        client, server = self.start(backend, "--verify", "--pipeline", 4)
        answer = bytearray(read_exactly(server, 4 * self.SIZE))
        place = self.random.randrange(len(answer))
        answer[place] ^= 1 << self.random.randrange(8)
        server.sendall(answer)
        self.assert_failed(
            client, "what came back differs from what was sent: connection 1,"
            f" message {place // self.SIZE + 1}, byte {place % self.SIZE + 1}")
        self.assertEqual(client.output(), "")

    @over(backend=BACKENDS)
    def test_one_wrong_byte_after_many_right_ones_in_pieces(self, backend):
        client, server = self.start(backend, "--verify", "--duration", 30)
        # So that its delay does not come in between.
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        messages = 500
        for _ in range(messages):
            message = read_exactly(server, self.SIZE)
            cut = self.random.randrange(self.SIZE)
            server.sendall(message[:cut])
            server.sendall(message[cut:])
        message = bytearray(read_exactly(server, self.SIZE))
        message[-1] ^= 0x80
        server.sendall(message)
        self.assert_failed(
            client, f".* differs .*: connection 1, message {messages + 1}, byte {self.SIZE}")

    @over(backend=BACKENDS)
    def test_a_wrong_byte_on_one_of_several_connections(self, backend):
        address = unix_address()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(socket_address(address)[1])
            listener.listen()
            listener.settimeout(PATIENCE)
            client = self.enterContext(Program(
                "sluice-echo", "load", "--connect", address, "--backend", backend, "--verify",
                "--connections", 5, "--size", self.SIZE))
            servers = [self.enterContext(accept(listener)) for _ in range(5)]
        answers = [bytearray(read_exactly(server, self.SIZE)) for server in servers]
        self.assertEqual(len({bytes(answer) for answer in answers}), 5, "all differ")
        liar = self.random.randrange(5)
        answers[liar][7] ^= 1
        # This is the last step, because the client leaves then.
        for number in sorted(range(5), key=lambda number: number == liar):
            servers[number].sendall(answers[number])
        self.assert_failed(client, f".* differs .*: connection {liar + 1}, message 1, byte 8")

    @over(backend=BACKENDS)
    def test_another_messages_answer_is_noticed(self, backend):
        client, server = self.start(backend, "--verify", "--pipeline", 2)
        both = read_exactly(server, 2 * self.SIZE)
        server.sendall(both[self.SIZE:])
        self.assert_failed(client, ".* differs .*: connection 1, message 1, byte 1")

    @over(backend=BACKENDS)
    def test_a_byte_too_many_is_noticed(self, backend):
        client, server = self.start(backend, "--verify", "--duration", 30)
        server.sendall(read_exactly(server, self.SIZE))
        following = read_exactly(server, self.SIZE)
        server.sendall(bytes([following[0] ^ 1]) + following)
        self.assert_failed(client, ".* differs .*: connection 1, message 2, byte 1")

    def test_a_message_that_does_not_come_back_is_waited_for_and_said(self):
        client, server = self.start("epoll", "--verify", "--duration", 0.1, "--pipeline", 2)
        server.sendall(read_exactly(server, 2 * self.SIZE)[:self.SIZE])
        # If the first comes back before the time is over, a third follows.
        self.assert_failed(client, "(1 message of 2|2 messages of 3) did not come back")
        self.assertIsNotNone(REPORT.fullmatch(client.output()), client.output())

    def test_what_comes_back_slowly_is_waited_for(self):
        client, server = self.start("epoll", "--verify", "--duration", 0.1, "--json")
        message = read_exactly(server, self.SIZE)
        # Nothing may come back for at most 3 seconds. This is longer.
        begin = time.monotonic()
        for index in range(self.SIZE):
            time.sleep(max(0, begin + 4 * (index + 1) / self.SIZE - time.monotonic()))
            server.sendall(message[index:index + 1])
        self.assertEqual((client.wait(), client.errors()), (0, ""))
        report = json.loads(client.output())
        self.assertEqual((report["sent"], report["returned"]), (1, 1))
        self.assertGreater(report["latency_ns"]["max"], 3.5e9)

    @over(backend=BACKENDS)
    def test_a_server_that_closes(self, backend):
        client, server = self.start(backend, "--pipeline", 4)
        answer = read_exactly(server, 4 * self.SIZE)
        server.sendall(answer[:1])
        server.shutdown(socket.SHUT_WR)
        self.assert_failed(
            client, "the server closed a connection; 0 messages came back and 4 did not")

    @over(backend=BACKENDS)
    def test_a_server_that_resets(self, backend):
        client, server = self.start(backend, "--pipeline", 4)
        read_exactly(server, self.SIZE)
        reset(server)
        self.assert_failed(
            client, r"Connection reset by peer \(ECONNRESET\);"
            " 0 messages came back and 4 did not")

    @over(backend=BACKENDS)
    def test_a_server_that_ends_at_once(self, backend):
        with Server("sluice-echo") as server, \
                Program("sluice-echo", "load", "--connect", server.address, "--backend", backend,
                        "--duration", 30) as client:
            wait_until(lambda: server.cpu_seconds() > 0.1, "the server is at work")
            server.send_signal(signal.SIGINT)
            server.send_signal(signal.SIGTERM)
            self.assert_failed(client, r".*; \d+ messages came back and \d+ did not")


class Interrupts(LoadTest):
    @over(name=("SIGINT", "SIGTERM"), backend=BACKENDS)
    def test_one_gives_the_report_early(self, name, backend):
        listener, address = listen()
        with listener:
            client = self.enterContext(Program(
                "sluice-echo", "load", "--connect", address, "--backend", backend, "--verify",
                "--connections", 1, "--duration", 3600, "--json"))
            server = self.enterContext(accept(listener))
        message = read_exactly(server, 64)
        client.process.send_signal(getattr(signal, name))
        server.sendall(message)
        echo_to_the_end([server])
        self.assertEqual((client.wait(), client.errors()), (0, ""))
        report = json.loads(client.output())
        self.assertLess(report["seconds"], 3600)
        self.assert_adds_up(report)

    @over(backend=BACKENDS)
    def test_the_second_does_not_wait_for_what_is_under_way(self, backend):
        listener, address = listen()
        with listener:
            client = self.enterContext(Program(
                "sluice-echo", "load", "--connect", address, "--backend", backend,
                "--connections", 1, "--pipeline", 3, "--size", 1 << 20))
            server = self.enterContext(accept(listener))
        read_exactly(server, 64)
        # The kernel could merge two signals of one kind.
        client.process.send_signal(signal.SIGINT)
        client.process.send_signal(signal.SIGTERM)
        # After the first signal alone it would wait for as long as something comes back.
        for _ in range(PATIENCE * 100):
            if client.process.poll() is not None:
                break
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                server.send(b"x")
            time.sleep(0.01)
        self.assertEqual(client.process.poll(), 1)
        self.assertEqual(client.errors(), "Error: 3 messages of 3 did not come back\n")
        self.assertRegex(client.output(), r"\A1 connection, .*\nthroughput  0 messages/s, .*\n\Z")

    @over(backend=BACKENDS)
    def test_one_while_connecting_ends_it(self, backend):
        address = unix_address()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(socket_address(address)[1])
            listener.listen(1)
            with Program("sluice-echo", "load", "--connect", address,
                         "--backend", backend) as client:
                wait_until(lambda: len(client.sockets()) == 2, "it waits for room")
                client.process.send_signal(signal.SIGINT)
                self.assertEqual(client.wait(), 1)
                self.assertEqual(client.errors(), "Error: interrupted while connecting\n")


class Refuses(LoadTest):
    @over(backend=BACKENDS)
    def test_a_server_that_is_not_there(self, backend):
        for address in (refused_address(), unix_address()):
            done = load(address, "--backend", backend, "--connections", 10)
            self.assert_refused(done, f"cannot connect to {address}", "ECONNREFUSED",
                                "sluice-echo serve")

    def test_a_server_that_never_has_room(self):
        address = unix_address()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(socket_address(address)[1])
            listener.listen(1)
            self.assert_refused(load(address), f"cannot connect to {address}", "EAGAIN")

    def test_a_bad_address(self):
        self.assert_refused(load("nowhere"), "nowhere", "write nowhere:9999")

    def test_numbers_that_are_none_or_out_of_range(self):
        for option, value in (("--connections", 0), ("--connections", -1),
                              ("--connections", 100_001), ("--connections", "many"),
                              ("--size", 0), ("--size", (16 << 20) + 1), ("--pipeline", 0),
                              ("--pipeline", 1025), ("--duration", 0), ("--duration", "nan"),
                              ("--size", -1), ("--pipeline", -1), ("--duration", -1),
                              ("--duration", "inf"), ("--duration", 3601)):
            with self.subTest(option=option, value=value):
                for arguments in ([f"{option}={value}"], [option, value]):
                    done = run("sluice-echo", "load", *arguments)
                    self.assert_refused(done, option, str(value))

    def test_more_than_memory_is_for(self):
        done = run("sluice-echo", "load", "--connections", 100, "--pipeline", 10,
                   "--size", 16 << 20)
        self.assert_refused(done, "--connections 100 --pipeline 10 --size 16777216", "1 GiB")

    def limited_to(self, soft, hard):
        return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))}

    @over(backend=BACKENDS)
    def test_more_connections_than_files_may_be_open(self, backend):
        with Server("sluice-echo") as server:
            done = load(server.address, "--backend", backend, **self.limited_to(30, 30))
            self.assert_refused(done, "--connections 50", "EMFILE", "ulimit", "fewer connections")

    @over(backend=BACKENDS)
    def test_the_lower_limit_of_open_files_is_raised(self, backend):
        with Server("sluice-echo") as server:
            done = load(server.address, "--backend", backend, "--duration", 0.1,
                        **self.limited_to(30, 200))
            self.assertEqual((done.returncode, done.stderr), (0, b""))
