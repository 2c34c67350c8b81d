"""The article's client: Programs/article/client."""

import subprocess

from sockets import accept, listen, read_all, read_exactly, refused_address, reset
from support import BACKENDS, ProgramTest, Server, over, program, run
from terminal import END_OF_INPUT, AtTerminal

PROMPT = b">>:"


class Client(ProgramTest):
    def start(self, backend, **options):
        """The client at a terminal, and our side of its connection."""
        listener, address = listen()
        with listener:
            client = AtTerminal("article-client", "--address", address, "--backend", backend)
            self.enterContext(client)
            server = self.enterContext(accept(listener))
        client.wait_to_see(PROMPT)
        return client, server

    @over(backend=BACKENDS)
    def test_sends_a_typed_line_and_prints_the_answer(self, backend):
        client, server = self.start(backend)
        for number in range(3):
            client.type(b"line %d\n" % number)
            self.assertEqual(read_exactly(server, 7), b"line %d\n" % number)
            server.sendall(b"answer %d\n" % number)
            self.assertEqual(client.wait_to_see(b"answer %d\n" % number), b"")
            self.assertEqual(client.wait_to_see(PROMPT), b"")

    @over(backend=BACKENDS)
    def test_shows_what_the_server_says_unasked_while_nothing_is_typed(self, backend):
        client, server = self.start(backend)
        for word in (b"good morning\n", b"still there?\n"):
            server.sendall(word)
            client.wait_to_see(word)
            client.wait_to_see(PROMPT)

    @over(backend=BACKENDS)
    def test_sends_what_is_typed_while_the_server_is_silent(self, backend):
        client, server = self.start(backend)
        for word in (b"one\n", b"two\n", b"three\n"):
            client.type(word)
            self.assertEqual(read_exactly(server, len(word)), word)

    @over(backend=BACKENDS)
    def test_an_answer_of_over_1024_bytes_comes_whole(self, backend):
        client, server = self.start(backend)
        for size in (1024, 1025, 2048, 5000):
            client.type(b"more\n")
            read_exactly(server, 5)
            answer = bytes(self.random.choices(b"abcdefgh", k=size)) + b"\n"
            server.sendall(answer)
            self.assertEqual(client.wait_to_see(PROMPT), answer)

    @over(backend=BACKENDS)
    def test_the_end_of_input_ends_it_after_the_last_answer(self, backend):
        client, server = self.start(backend)
        client.type(b"last words\n" + END_OF_INPUT)
        self.assertEqual(read_all(server), b"last words\n")
        server.sendall(b"a late answer\n")
        client.wait_to_see(b"a late answer\n")
        server.close()
        self.assertEqual(client.wait(), 0)
        self.assertEqual(client.errors(), "")

    @over(backend=BACKENDS)
    def test_ends_when_the_server_has_gone(self, backend):
        client, server = self.start(backend)
        server.close()
        self.assertEqual(client.wait(), 0)

    @over(backend=BACKENDS)
    def test_says_so_in_one_line_when_the_server_vanishes(self, backend):
        client, server = self.start(backend)
        reset(server)
        self.assertEqual(client.wait(), 1)
        self.assertRegex(client.errors(), r"\AError: .*reset.*\n\Z")

    @over(backend=BACKENDS)
    def test_says_so_in_one_line_when_the_reader_of_its_output_has_gone(self, backend):
        listener, address = listen()
        with listener, subprocess.Popen(
                program("article-client", "--address", address, "--backend", backend),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            self.addCleanup(process.kill)
            with accept(listener) as server:
                process.stdout.close()
                server.sendall(b"is somebody there?\n")
                error = process.stderr.read().decode()
                self.assertEqual(process.wait(), 1)
                self.assertRegex(error, r"\AError: .+\n\Z")

    @over(backend=BACKENDS)
    def test_a_refused_connection_is_one_line(self, backend):
        self.assert_refused(
            run("article-client", "--address", refused_address(), "--backend", backend), "refused")

    @over(server=("article-first-server", "article-queued-server", "article-complete-server"))
    def test_speaks_with_each_server(self, server):
        with Server(server) as running:
            text = b"from a pipe\n" * 100
            done = run("article-client", "--address", running.address, input=text)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout.replace(PROMPT, b""), text)
