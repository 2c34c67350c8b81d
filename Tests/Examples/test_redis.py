"""Examples/swift/redis and redis-async, with redis-cli and redis-benchmark."""

import hashlib
import random
import subprocess

from examples import MEGABYTE, ExampleTest, connect, run, wait_until
from sockets import read_all, read_exactly, wait_for_parting


class RedisTest(ExampleTest):
    PROGRAM = "redis"

    def setUp(self):
        super().setUp()
        self.server = self.start(self.PROGRAM, "127.0.0.1:0")

    def ask(self, *words, **options):
        return run("redis-cli", "-p", self.server.port, *words, **options).decode().rstrip("\n")

    def test_commands(self):
        for command, answer in {
            "ping": "PONG", "echo hello": "hello", "set a 1": "OK", "get a": "1", "incr a": "2",
            "get b": "", "incr b": "1", "exists a b c a": "3", "del a b c": "2", "exists a": "0",
            "set c text": "OK", "command": "", "config get save": "save\n",
            "incr c": "ERR value is not an integer or out of range\n",
            "set d 9223372036854775807": "OK",
            "incr d": "ERR increment or decrement would overflow\n",
            "get": "ERR wrong number of arguments for 'get' command\n",
            "set a b c": "ERR syntax error\n",
            "hmm x y": "ERR unknown command 'hmm', with args beginning with: 'x' 'y' \n",
        }.items():
            self.assertEqual(self.ask(*command.split()).rstrip("\n"), answer.rstrip("\n"), command)

    def test_a_value_of_100_megabytes(self):
        value = random.Random(1).randbytes(100 * MEGABYTE)
        self.assertEqual(self.ask("-x", "set", "large", input=value), "OK")
        back = run("redis-cli", "-p", self.server.port, "--raw", "get", "large")
        self.assertEqual(len(back), len(value) + 1)
        self.assertEqual(hashlib.sha1(back[:-1]).digest(), hashlib.sha1(value).digest())
        self.assertLess(self.server.peak_memory(), 600 * MEGABYTE)

    def test_a_value_that_comes_in_thousands_of_pieces(self):
        value = bytes(20 * MEGABYTE)
        with connect(self.server.address) as client:
            client.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$%d\r\n" % len(value))
            for start in range(0, len(value), 4_096):
                client.send(value[start:start + 4_096])
            client.sendall(b"\r\n")
            self.assertEqual(read_exactly(client, 5), b"+OK\r\n")
        self.assertLess(self.server.cpu_seconds(), 5)

    def test_lines_and_arrays_pipelined(self):
        said = b"PING\r\nset a 5\r\n\r\n*2\r\n$4\r\nincr\r\n$1\r\na\r\n*0\r\n get  a \n"
        answer = run("nc", "-N", "127.0.0.1", self.server.port, input=said)
        self.assertEqual(answer, b"+PONG\r\n+OK\r\n:6\r\n$1\r\n6\r\n")

    def test_a_command_that_comes_byte_by_byte(self):
        with connect(self.server.address) as client:
            for byte in b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n":
                client.send(bytes([byte]))
            self.assertEqual(read_exactly(client, 10), b"$4\r\n\r\n\r\n\r\n")

    def test_mass_insertion(self):
        said = b"".join(b"*3\r\n$3\r\nSET\r\n$4\r\n%04d\r\n$1\r\nx\r\n" % n for n in range(5_000))
        self.assertIn("errors: 0, replies: 5000", self.ask("--pipe", input=said))

    def test_the_benchmark_is_content(self):
        for pipelined in (1, 16):
            said = run("redis-benchmark", "-p", self.server.port, "-t", "ping,set,get,incr",
                       "-n", 20_000, "-P", pipelined, "-q", stderr=subprocess.STDOUT).decode()
            for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"):
                self.assertRegex(said, rf"{name}: [\d.]+ requests per second")
            self.assertNotRegex(said, "(?i)error|warning")

    def test_who_breaks_the_protocol_ends_alone(self):
        with connect(self.server.address) as other:
            for said, words in {
                b"*1\r\nPING\r\n": b"expected '$', got 'P'",
                b"*x\r\n": b"invalid multibulk length",
                b"*99999999\r\n": b"invalid multibulk length",
                b"*1\r\n$-1\r\n": b"invalid bulk length",
                b"*1\r\n$999999999999\r\n": b"invalid bulk length",
                b"x" * 100_000: b"too big inline request",
                b"*" + b"1" * 100_000: b"too big mbulk count string",
                b"*1\r\n$" + b"1" * 100_000: b"too big bulk count string",
            }.items():
                with connect(self.server.address) as client:
                    client.sendall(b"PING\r\n" + said)
                    self.assertEqual(read_all(client),
                                     b"+PONG\r\n-ERR Protocol error: " + words + b"\r\n")
            other.sendall(b"PING\r\n")
            self.assertEqual(read_exactly(other, 7), b"+PONG\r\n")

    def test_who_does_not_read_ends_alone(self):
        sockets = self.server.sockets()  # before there is a client: the server closes its socket some time after it has gone
        self.ask("-x", "set", "large", input=bytes(40 * MEGABYTE))
        with connect(self.server.address) as client:
            client.sendall(b"GET large\r\n" * 20)
            self.assertEqual(self.ask("ping"), "PONG")
            wait_until(lambda: self.server.sockets() == sockets, "the client is let go")
            self.assertLess(len(wait_for_parting(client)), 300 * MEGABYTE)
        self.assertEqual(self.ask("ping"), "PONG")
        self.assertLess(self.server.peak_memory(), 600 * MEGABYTE)


class RedisAsyncTest(RedisTest):
    PROGRAM = "redis-async"

    def test_who_reads_slowly_gets_all_and_keeps_nobody_waiting(self):
        size = 40 * MEGABYTE
        self.ask("-x", "set", "large", input=bytes(size))
        expected = 10 * (len(b"$%d\r\n\r\n" % size) + size)
        with connect(self.server.address) as client:
            client.sendall(b"GET large\r\n" * 10)
            self.assertEqual(self.ask("ping"), "PONG")
            before = self.server.peak_memory()
            self.assertEqual(len(read_exactly(client, expected)), expected)
            client.sendall(b"PING\r\n")
            self.assertEqual(read_exactly(client, 7), b"+PONG\r\n")
        # It waits in the store, once, and not in a queue.
        self.assertLess(self.server.peak_memory() - before, 16 * MEGABYTE)
