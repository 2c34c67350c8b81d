"""Examples/swift/http and http-async, with curl, ab and nc."""

import hashlib
import os
import random
import re
import subprocess
import tempfile
import time
from pathlib import Path

from examples import MEGABYTE, ExampleTest, connect, run, wait_until
from sockets import read_all, read_exactly, wait_for_parting

LARGE = 200 * MEGABYTE
NUMBERS = b"".join(b"%d\n" % number for number in range(100_000))


class HTTPTest(ExampleTest):
    PROGRAM = "http"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.root = Path(folder) / "root"
        (cls.root / "sub").mkdir(parents=True)
        (cls.root / "index.html").write_bytes(b"<p>hello</p>")
        (cls.root / "numbers.txt").write_bytes(NUMBERS)
        (cls.root / "sub/a b.png").write_bytes(b"picture")
        (cls.root / "empty").write_bytes(b"")
        (Path(folder) / "secret").write_bytes(b"secret")
        # It begins with an accent, which combines with a "/" before it.
        (Path(folder) / "\u0301secret").write_bytes(b"secret")
        (cls.root / "link").symlink_to(Path(folder) / "secret")
        os.mkfifo(cls.root / "pipe")
        cls.large = random.Random(2).randbytes(MEGABYTE) * 200
        (cls.root / "large").write_bytes(cls.large)

    @classmethod
    def tearDownClass(cls):
        del cls.large

    def setUp(self):
        super().setUp()
        self.server = self.start(self.PROGRAM, self.root, "127.0.0.1:0")
        self.url = f"http://{self.server.address}"

    def get(self, path, *options):
        """(status, fields, body)"""
        head, _, body = run("curl", "-si", "--path-as-is", *options,
                            self.url + path).partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        return (int(status.split()[1]),
                {name.lower(): value for name, value in (each.split(": ") for each in fields)}, body)

    def test_files(self):
        for path, kind, body in (
            ("/", "text/html", b"<p>hello</p>"), ("/numbers.txt?x=/..", "text/plain", NUMBERS),
            ("/sub/a%20b.png", "image/png", b"picture"),
            ("/%6eumbers.txt", "text/plain", NUMBERS),
            ("/empty", "application/octet-stream", b""),
            ("/link", "application/octet-stream", b"secret"),  # as it says of itself
        ):
            status, fields, found = self.get(path)
            self.assertEqual((status, found), (200, body), path)
            self.assertEqual(fields["content-type"], kind)
            self.assertEqual(fields["content-length"], str(len(body)))

    def test_a_head_has_no_body(self):
        status, fields, body = self.get("/numbers.txt", "-I")
        self.assertEqual((status, fields["content-length"], body), (200, str(len(NUMBERS)), b""))

    def test_what_there_is_not(self):
        for path in ("/none", "/sub", "/sub/", "/pipe", "/numbers.txt/x"):
            self.assertEqual(self.get(path)[0], 404, path)

    def test_no_path_leads_out(self):
        for path in ("/../secret", "/%2e%2e/secret", "/sub/../../secret", "/sub/..%2f../secret",
                     "/.%2e/secret", "/%2E./secret"):
            self.assertEqual(self.get(path)[0], 400, path)
        self.assertEqual(self.get("//../secret")[0], 400)
        self.assertEqual(self.get("/../%CC%81secret")[0], 400)

    def test_what_is_no_request(self):
        for said in (b"GET\r\n\r\n", b"\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"GET x HTTP/1.1\r\n\r\n",
                     b"GET /%zz HTTP/1.1\r\n\r\n", b"GET /%00 HTTP/1.1\r\n\r\n",
                     b"GET /%ff HTTP/1.1\r\n\r\n", b"\xff\0\xff\r\n\r\n"):
            with connect(self.server.address) as client:
                client.sendall(said)
                self.assertTrue(read_all(client).startswith(b"HTTP/1.1 400 Bad Request\r\n"), said)
        with connect(self.server.address) as client:
            client.sendall(b"GET / HTTP/1.1\r\n:\r\nX\r\n : \r\nConnection: close\r\n\r\n")
            self.assertTrue(read_all(client).startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(self.get("/")[0], 200)

    def test_other_methods(self):
        status, fields, _ = self.get("/", "-X", "DELETE")
        self.assertEqual((status, fields["allow"]), (405, "GET, HEAD"))
        status, fields, _ = self.get("/", "-d", "a body that is not read")
        self.assertEqual((status, fields["connection"]), (405, "close"))

    def test_a_head_that_is_too_long(self):
        status, fields, _ = self.get("/", "-H", "X: " + "x" * 20_000)
        self.assertEqual((status, fields["connection"]), (431, "close"))
        with connect(self.server.address) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nX: " + b"x" * 16_400)
            self.assertRegex(read_all(client), rb"(?s)\AHTTP/1.1 200 .*HTTP/1.1 431 ")

    def test_a_head_is_too_long_wherever_it_is_cut(self):
        head = b"GET /numbers.txt HTTP/1.1\r\nX: " + b"x" * 17_000 + b"\r\n\r\n"
        for first in (10, 16_384, 17_000, len(head) - 2, len(head)):
            with connect(self.server.address) as client:
                client.sendall(head[:first])
                time.sleep(0.01)
                client.sendall(head[first:])
                self.assertRegex(wait_for_parting(client) or b"HTTP/1.1 431 ", rb"\AHTTP/1.1 431 ")
        fits = b"GET / HTTP/1.1\r\nX: " + b"x" * 16_300 + b"\r\n\r\n"
        with connect(self.server.address) as client:
            client.sendall(fits * 3)
            client.shutdown(1)
            self.assertEqual(read_all(client).count(b"HTTP/1.1 200 "), 3)

    def test_many_requests_at_once_are_answered_with_little_memory(self):
        before = self.server.peak_memory()
        said = b"GET /numbers.txt HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n" * 500
        with connect(self.server.address) as client:
            client.sendall(said)
            client.shutdown(1)
            # Nobody reads yet, and the other requests wait until somebody does.
            with connect(self.server.address) as other:
                other.sendall(b"GET / HTTP/1.0\r\n\r\n")
                self.assertIn(b"200 OK", read_all(other))
            answer = read_all(client)
        self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 1_000)
        self.assertEqual(answer.count(NUMBERS), 500)
        self.assertLess(self.server.peak_memory() - before, 8 * MEGABYTE)

    def test_ranges(self):
        size = len(NUMBERS)
        for asked, first, end in (("0-9", 0, 10), ("10-", 10, size), ("-7", size - 7, size),
                                  ("0-0", 0, 1), (f"5-{size * 2}", 5, size),
                                  (f"-{size * 2}", 0, size), (f"5-{2**63 - 1}", 5, size)):
            status, fields, body = self.get("/numbers.txt", "-r", asked)
            self.assertEqual((status, body), (206, NUMBERS[first:end]), asked)
            self.assertEqual(fields["content-range"], f"bytes {first}-{end - 1}/{size}")
        for asked in (f"{size}-", f"{size}-{size + 5}", "-0"):
            status, fields, body = self.get("/numbers.txt", "-H", f"Range: bytes={asked}")
            self.assertEqual((status, body), (416, b""), asked)
            self.assertEqual(fields["content-range"], f"bytes */{size}")
        for asked in ("bytes=9-5", "bytes=x-", "bytes=0-1,5-6", "lines=0-1", f"bytes={2**64}-"):
            status, _, body = self.get("/numbers.txt", "-H", f"Range: {asked}")
            self.assertEqual((status, body), (200, NUMBERS), asked)

    def test_a_connection_is_used_again(self):
        said = run("curl", "-s", "-w", "%{num_connects} ", f"{self.url}/", f"{self.url}/none",
                   f"{self.url}/numbers.txt", "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null")
        self.assertEqual(said, b"1 0 0 ")

    def test_pipelined(self):
        said = b"".join(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path
                        for path in (b"", b"none", b"numbers.txt", b"large", b""))
        answer = run("nc", "-N", "127.0.0.1", self.server.port, input=said + b"GET /cut HTT")
        self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", answer[:10_000] + answer[-1_000:]),
                         [b"200", b"404", b"200", b"200"])
        self.assertGreater(len(answer), LARGE + len(NUMBERS))
        self.assertTrue(answer.endswith(b"\r\n\r\n<p>hello</p>"))

    def test_an_old_client_is_parted_with(self):
        with connect(self.server.address) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            self.assertIn(b"Connection: close", read_all(client))

    def test_a_large_file_whole_with_little_memory(self):
        before = self.server.peak_memory()
        found = hashlib.sha1(run("curl", "-s", f"{self.url}/large")).digest()
        self.assertEqual(found, hashlib.sha1(self.large).digest())
        self.assertEqual(run("curl", "-s", "-r", "-1000", f"{self.url}/large"), self.large[-1000:])
        self.assertLess(self.server.peak_memory() - before, 16 * MEGABYTE)

    def test_a_slow_client_keeps_nobody_waiting(self):
        before = self.server.peak_memory()
        with subprocess.Popen(["curl", "-s", "--limit-rate", "100k", f"{self.url}/large"],
                              stdout=subprocess.PIPE) as slow:
            self.addCleanup(slow.kill)
            self.assertEqual(slow.stdout.read(10_000), self.large[:10_000])
            self.assertEqual(run("curl", "-s", f"{self.url}/large"), self.large)
            self.assertEqual(self.get("/numbers.txt")[2], NUMBERS)
            slow.kill()
        self.assertLess(self.server.peak_memory() - before, 16 * MEGABYTE)

    def test_a_fast_client_keeps_nobody_waiting(self):
        # A file so large that no test sees its end. So whoever is answered did not wait for that.
        with open(self.root / "endless", "wb") as file:
            file.truncate(1 << 42)
        self.addCleanup(os.unlink, file.name)
        with subprocess.Popen(["curl", "-s", f"{self.url}/endless"], stdout=subprocess.DEVNULL) as fast:
            self.addCleanup(fast.kill)
            wait_until(lambda: self.files() == ["endless"], "it is sent the file")
            for _ in range(5):
                self.assertEqual(self.get("/")[0], 200)
            self.assertIsNone(fast.poll())
            self.assertIn("endless", self.files())
            fast.kill()

    def test_no_file_stays_open(self):
        with connect(self.server.address) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\nGET /sub HTTP/1.1\r\n\r\n")
            read_exactly(client, 300)
            with connect(self.server.address) as other:
                other.sendall(b"GET /large HTTP/1.1\r\n\r\n")
                other.recv(1)
                wait_until(lambda: self.files() == ["large"], "only what is sent is open")
            wait_until(lambda: not self.files(), "the file of who has gone is closed")

    def files(self):
        return [Path(file).name for file in self.server.descriptors().values()
                if file.startswith(str(self.root))]

    def test_a_file_that_shrinks_ends_the_connection(self):
        shrinking = self.root / "shrinking"
        shrinking.write_bytes(bytes(50 * MEGABYTE))
        with connect(self.server.address) as client:
            client.sendall(b"GET /shrinking HTTP/1.1\r\n\r\n")
            client.recv(1)
            os.truncate(shrinking, 0)
            self.assertLess(len(wait_for_parting(client)), 50 * MEGABYTE)

    def test_ab_is_content(self):
        said = run("ab", "-q", "-k", "-n", 5_000, "-c", 50, f"{self.url}/").decode()
        for words in ("Complete requests: +5000", "Failed requests: +0", "Keep-Alive requests: +5000"):
            self.assertRegex(said, words)
        self.assertNotIn("Non-2xx", said)


class HTTPAsyncTest(HTTPTest):
    PROGRAM = "http-async"
