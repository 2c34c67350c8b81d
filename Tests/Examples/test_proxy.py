"""Examples/swift/proxy and proxy-async, in front of servers of ours, nc, and Examples/swift/http."""

import contextlib
import os
import random
import resource
import subprocess
import threading

from examples import MEGABYTE, PATIENCE, ExampleTest, connect, run
from sockets import accept, has_been_read, listen, read_all, refused_address, reset, wait_for_parting
from support import wait_until


class ProxyTest(ExampleTest):
    PROGRAM = "proxy"

    def between(self):
        """A proxy, a client of it, and the other end."""
        listener, address = listen()
        with listener:
            proxy = self.start(self.PROGRAM, "127.0.0.1:0", address)
            client = self.enterContext(connect(proxy.address))
            return proxy, client, self.enterContext(accept(listener))

    def test_a_half_close_is_passed_on(self):
        for first in (0, 1):
            _, *ends = self.between()
            one, other = ends[first], ends[1 - first]
            one.sendall(b"a question")
            one.shutdown(1)
            self.assertEqual(read_all(other), b"a question")
            other.sendall(b"an answer")
            other.shutdown(1)
            self.assertEqual(read_all(one), b"an answer")

    def test_before_nc(self):
        upstream = refused_address()
        host, port = upstream.split(":")
        with subprocess.Popen(["nc", "-v", "-l", "-N", host, port], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
            self.addCleanup(server.kill)
            self.assertIn(b"Listening", server.stderr.readline())
            proxy = self.start(self.PROGRAM, "127.0.0.1:0", f"localhost:{port}")
            server.stdin.write(b"an answer\n")
            server.stdin.close()
            said = run("nc", "-N", "127.0.0.1", proxy.port, input=b"a question\n")
            self.assertEqual(said, b"an answer\n")
            self.assertEqual(server.stdout.read(), b"a question\n")
            self.assertEqual(server.wait(PATIENCE), 0)

    def test_much_both_ways_with_little_memory(self):
        proxy, client, server = self.between()
        before = proxy.peak_memory()
        data = random.Random(3).randbytes(MEGABYTE) * 50

        def say(end):
            end.sendall(data)
            end.shutdown(1)

        threads = [threading.Thread(target=say, args=[end]) for end in (client, server)]
        for thread in threads:
            thread.start()
        found = []
        threads.append(threading.Thread(target=lambda: found.append(read_all(server))))
        threads[-1].start()
        self.assertEqual(read_all(client), data)
        for thread in threads:
            thread.join()
        self.assertEqual(found, [data])
        self.assertLess(proxy.peak_memory() - before, 16 * MEGABYTE)

    def assert_parts(self, proxy):
        """It ends a client's connection, maybe so early that the client's connect is reset."""
        try:
            with connect(proxy.address) as client:
                client.send(b"is anybody there?")
                self.assertEqual(wait_for_parting(client), b"")
        except (ConnectionResetError, BrokenPipeError):
            pass

    def test_an_upstream_that_is_not_there_ends_the_client_alone(self):
        proxy = self.start(self.PROGRAM, "127.0.0.1:0", refused_address())
        for _ in range(3):
            self.assert_parts(proxy)
        proxy.wait_for("refused")

    def test_a_name_that_there_is_not(self):
        proxy = self.start(self.PROGRAM, "127.0.0.1:0", "no-such-name.invalid:80")
        self.assert_parts(proxy)

    def test_a_reset_of_one_ends_the_other(self):
        for first in (0, 1):
            _, *ends = self.between()
            reset(ends[first])
            self.assertEqual(wait_for_parting(ends[1 - first]), b"")

    def test_a_part_does_not_look_whole(self):
        for first in (0, 1):
            _, *ends = self.between()
            one, other = ends[first], ends[1 - first]
            one.sendall(b"a part")
            self.assertEqual(other.recv(100), b"a part")
            reset(one)
            with self.assertRaises(ConnectionResetError):
                other.recv(100)

    def test_an_answer_before_all_was_asked_arrives(self):
        _, client, server = self.between()
        client.sendall(b"a question")
        self.assertEqual(server.recv(100), b"a question")
        server.sendall(b"x" * 200_000)
        server.shutdown(1)
        # The proxy has it, and the end. A reset takes none of it back.
        wait_until(lambda: has_been_read(server), "the proxy has read the answer")
        server.close()
        for _ in range(3):
            client.sendall(b" that goes on")
        # After the answer the proxy may close. Bytes that the client has sent in vain may cause a reset then.
        answer = b""
        while len(answer) < 200_000 and (part := client.recv(200_000)):
            answer += part
        self.assertEqual(len(answer), 200_000)

    def test_without_descriptors_a_client_alone_ends(self):
        listener, address = listen()
        with listener:
            # One client takes two descriptors. Then there is none left for the next client's upstream.
            proxy = self.start("proxy", "127.0.0.1:0", address)
            taken = len(os.listdir(f"/proc/{proxy.process.pid}/fd"))
            resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (taken + 3, taken + 3))
            with connect(proxy.address) as client, accept(listener) as server:
                # It may be over before the connect is.
                with contextlib.suppress(ConnectionResetError), connect(proxy.address) as another:
                    self.assertEqual(wait_for_parting(another), b"")
                proxy.wait_for("open files")
                client.sendall(b"still here")
                self.assertEqual(server.recv(100), b"still here")

    def test_what_was_said_before_an_end_arrives(self):
        _, client, server = self.between()
        server.sendall(b"x" * 5 * MEGABYTE)
        server.close()
        self.assertEqual(len(read_all(client)), 5 * MEGABYTE)

    def test_before_the_server_of_files(self):
        folder = self.folder()
        (folder / "a").write_bytes(bytes(50 * MEGABYTE))
        server = self.start("http", folder, "127.0.0.1:0")
        proxy = self.start(self.PROGRAM, "127.0.0.1:0", server.address)
        urls = [f"http://{proxy.address}/a"] * 2
        self.assertEqual(len(run("curl", "-s", *urls)), 100 * MEGABYTE)
        run("ab", "-q", "-k", "-n", 500, "-c", 10, f"http://{proxy.address}/")


class ProxyAsyncTest(ProxyTest):
    PROGRAM = "proxy-async"
