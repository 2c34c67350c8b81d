"""sluice-echo serve --watch and --inspect: what is shown is true, keys work, and strangers see nothing.

Tests/Shown tests the page in a browser.
"""

import contextlib
import http.client
import json
import re
import signal
import socket
import termios
import unittest

from sockets import PATIENCE, connect, exchange, socket_address, unix_address, wait_for_parting
from support import BACKENDS, ProgramTest, Server, over, run, wait_until
from terminal import AtTerminal

PICTURE = b"\x1b[H"  # begins where the last one began
FRAME_LIMIT = 1 << 18


def send_what_fits(client):
    """Sends until the kernel takes no more."""
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.send(bytes(1 << 16))


class Watched(AtTerminal, Server):
    """A server at a terminal. What it shows is not its output."""

    def __init__(self, *arguments, address=None):
        super().__init__("sluice-echo", "--watch", *arguments, address=address or unix_address())
        self.says_where = False

    def listens(self):
        self.wait_to_see(PICTURE)
        return True

    def wait_for_line(self, pattern, meanwhile=lambda: None):
        """Waits until the screen has such a line, and returns the match. Calls `meanwhile` before each look."""
        pattern = re.compile(pattern.encode())
        while meanwhile() or not (found := pattern.search(self.wait_to_see(PICTURE))):
            pass
        return found

    def wait_for_end(self, code=0):
        while self.look(PATIENCE):
            pass
        assert self.wait() == code


class WatchTest(ProgramTest):
    @over(backend=BACKENDS)
    def test_it_shows_connections_and_what_they_send(self, backend):
        with Watched("--backend", backend, address="127.0.0.1:0") as server:
            where = server.wait_for_line(rf"sluice-echo at (127\S+) with {backend}, for")[1].decode()
            server.wait_for_line(r"connections  reading 0  writing 0  held 0  ending 0  most 0")
            with connect(where) as client, connect(where) as other:
                exchange(client, b"x" * 1234)
                server.wait_for_line(r"connections  reading 2 .* most 2")
                port = client.getsockname()[1]
                server.wait_for_line(rf" reading +1,234 +0 +\d+\.\d s  127.0.0.1:{port}\b")
                server.wait_for_line(r"turn \d+: data of stream \d+: 1234 bytes")
                other.shutdown(socket.SHUT_WR)
                server.wait_for_line(r" gone +0 +0 ")
                server.wait_for_line(r"connections  reading 1 .* most 2")

    def test_a_client_that_does_not_read_is_shown_as_held(self):
        with Watched("--max-queue", "8192") as server, connect(server.address) as client:
            # Repeated, because the kernel's buffer may be full only because the server had no processor.
            server.wait_for_line(r"  held 1  ", meanwhile=lambda: send_what_fits(client))
            server.wait_for_line(r"\d+  held +[\d,]+ +[\d,]+ ")

    def test_a_pause_holds_events_back_and_a_key_lets_one_through(self):
        with Watched() as server, connect(server.address) as client:
            exchange(client, b"before")
            server.type(b"p")
            server.wait_for_line("paused, by received")
            # The server still handles the next event before it pauses.
            exchange(client, b"the first")
            client.settimeout(0.2)
            client.sendall(b"the second")
            with self.assertRaises(TimeoutError):
                client.recv(100)
            server.type(b"n")
            client.settimeout(PATIENCE)
            self.assertEqual(client.recv(100), b"the second")
            server.type(b"p")
            server.wait_for_line("full speed, by received")
            exchange(client, b"after")

    def test_keys_slow_it_down_sort_and_quit(self):
        with Watched() as server:
            for keys, words in ((b"-", "10 events a second"), (b"-", "1 event a second"),
                                (b"+", "10 events a second"), (b"+", "full speed"),
                                (b"s", "by queued"), (b"s", "by age"), (b"s", "by received")):
                server.type(keys)
                server.wait_for_line(words)
            server.type(b"q")
            server.wait_for_end()

    @over(how=("SIGINT", "SIGTERM", "key"))
    def test_an_interrupt_ends_it_also_in_a_pause(self, how):
        with Watched() as server, connect(server.address) as client:
            server.type(b"p")
            server.wait_for_line("paused")
            client.sendall(b"wait")
            server.wait_for_line("data of stream")
            if how == "key":
                server.type(b"q")
            else:
                server.send_signal(getattr(signal, how))
            server.wait_for_end()

    def test_the_terminal_is_given_back_as_it_was(self):
        with Watched() as server:
            self.assertFalse(termios.tcgetattr(server.terminal)[3] & termios.ICANON)
            server.type(b"q")
            server.wait_for_end()
            self.assertTrue(server.shown.endswith(b"lost with 0 bytes not sent\n"), server.shown[-200:])
            self.assertIn(b"\x1b[?25h\x1b[?1049l", server.shown)
            self.assertTrue(termios.tcgetattr(server.terminal)[3] & termios.ICANON)

    def test_the_name_of_a_peer_says_nothing_to_the_terminal(self):
        with Watched() as server, socket.socket(socket.AF_UNIX) as client:
            client.bind(b"\0\x1b[31mred\x07")
            client.connect(socket_address(server.address)[1])
            exchange(client, b"hello")
            picture = server.wait_for_line(r" reading +5 .*red").string
            self.assertNotIn(b"\x1b[31m", picture)
            self.assertNotIn(b"\x07", picture)

    def test_what_does_not_go_together_is_refused(self):
        for arguments, words in (
                (("--watch",), ("--watch", "terminal", "--stats")),
                (("--watch", "--quiet"), ("--watch", "--quiet")),
                (("--watch", "--trace"), ("--trace", "--watch")),
                (("--watch", "--async"), ("--watch", "--async")),
                (("--inspect", "127.0.0.1:0", "--async"), ("--inspect", "--async")),
                (("--inspect", "127.0.0.1:0", "--reuse-port", "--loops", "2"), ("--inspect", "--loops 2")),
                (("--inspect", "0.0.0.0:0"), ("--inspect", "0.0.0.0:", "--inspect-openly")),
                (("--inspect", "*:0"), ("--inspect", "--inspect-openly")),
                (("--inspect", "nowhere"), ("nowhere",)),
                (("--inspect-openly",), ("--inspect-openly", "add --inspect"))):
            with self.subTest(arguments):
                done = run("sluice-echo", "serve", "--listen", "127.0.0.1:0", *arguments)
                self.assert_refused(done, *words)


class Inspected(Server):
    def __init__(self, *arguments, inspect="127.0.0.1:0"):
        super().__init__("sluice-echo", "--inspect", inspect, *arguments)

    def started(self):
        super().started()
        said = wait_until(lambda: re.search(r"^inspect it at http://(\S+)/$", self.output(), re.MULTILINE),
                          "it says where its page is")
        self.page = said[1]

    def get(self, path="/", method="GET", **fields):
        """Status, fields and text of the answer."""
        connection = http.client.HTTPConnection(self.page, timeout=PATIENCE)
        connection.request(method, path, headers={name.replace("_", "-"): text for name, text in fields.items()})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, answer.headers, text.decode()

    def pictures(self):
        """Each picture, as it comes."""
        connection = http.client.HTTPConnection(self.page, timeout=PATIENCE)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream"
        try:
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])
        finally:
            connection.close()


class InspectTest(ProgramTest):
    @over(backend=BACKENDS)
    def test_pictures_say_what_the_loop_does(self, backend):
        with Inspected("--backend", backend) as server, server.connect() as client:
            for _ in range(2):  # a turn's time is known when the next begins
                exchange(client, b"x" * 500)
            pictures = server.pictures()
            first = next(pictures)
            self.assertEqual((first["address"], first["backend"], first["most"]),
                             (server.address, backend, 1))
            self.assertEqual(first["states"], {"reading": 1})
            [row] = first["rows"]
            self.assertEqual((row["received"], row["queued"], row["state"]), (1000, 0, "reading"))
            self.assertEqual(row["peer"], f"127.0.0.1:{client.getsockname()[1]}")
            self.assertGreater(sum(first["turnTimes"]), 0)
            client.shutdown(socket.SHUT_WR)
            ended = next(picture for picture in pictures if "closed" in picture["rows"][0]["news"])
            self.assertEqual(ended["rows"][0]["state"], "gone")

    def test_who_has_gone_is_shown_for_a_while(self):
        with Inspected() as server:
            pictures = server.pictures()
            next(pictures)  # from here on none is missed
            server.connect().close()
            next(picture for picture in pictures if [row["state"] for row in picture["rows"]] == ["gone"])
            next(picture for picture in pictures if not picture["rows"])

    def test_what_the_page_takes_is_not_what_was_served(self):
        with Inspected() as server, server.connect() as client:
            exchange(client, b"x" * 100)
            pictures = server.pictures()
            for _ in range(3):
                picture = next(pictures)
            self.assertEqual(sum(picture["states"].values()), 1)
            self.assertNotIn("accepted", picture["rows"][0]["news"])
            self.assertEqual(server.get()[0], 200)
            self.assertEqual(server.interrupt(), (1, 100, 0, 0))

    def test_the_page_needs_nothing_from_elsewhere(self):
        with Inspected() as server:
            status, fields, text = server.get()
            self.assertEqual((status, int(fields["Content-Length"])), (200, len(text.encode())))
            self.assertIn("default-src 'none'", fields["Content-Security-Policy"])
            self.assertNotRegex(text, r"(src|href)=|@import|url\(|import\b")
            # This is the name of SVG, and nothing fetches it.
            self.assertEqual(re.findall(r"\w+://[^\"']+", text), ["http://www.w3.org/2000/svg"])

    def test_other_origins_are_refused(self):
        with Inspected() as server:
            port = server.page.rpartition(":")[2]
            for fields in ({"Host": f"evil.example:{port}"}, {"Host": "localhost.evil.example"},
                           {"Host": "127.0.0.1.evil.example"}, {"Host": ""},
                           {"Origin": "http://evil.example"}, {"Origin": "null"},
                           {"Origin": f"http://localhost:{port}"}, {"Sec_Fetch_Site": "cross-site"},
                           {"Sec_Fetch_Site": "same-site"}):
                for path in ("/", "/events"):
                    with self.subTest(fields, path=path):
                        status, _, text = server.get(path, **fields)
                        self.assertEqual(status, 403, text)
                        self.assertRegex(text, "refused|names no host")
            for fields in ({"Host": f"localhost:{port}"}, {"Host": f"[::1]:{port}"},
                           {"Origin": f"http://{server.page}"}, {"Sec_Fetch_Site": "same-origin"}):
                with self.subTest(fields):
                    self.assertEqual(server.get(**fields)[0], 200)

    def test_other_requests_are_told_what_there_is(self):
        with Inspected() as server:
            self.assertEqual(server.get("/nothing")[0], 404)
            self.assertEqual(server.get("/", "POST")[0], 405)
            with connect(server.page) as client:
                client.sendall(b"nonsense\r\n\r\n")
                self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 400 "))
            # A head that is too long ends only that connection.
            with connect(server.page) as client:
                client.sendall(b"x" * 20_000)
                wait_for_parting(client)
            self.assertEqual(server.get()[0], 200)

    def test_a_page_that_does_not_read_takes_no_memory(self):
        with Inspected() as server, connect(server.page) as page, server.connect() as client:
            page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            page.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            exchange(client, b"x")
            pictures = server.pictures()
            for _ in range(10):
                picture = next(pictures)
            self.assertLess(picture["queued"], 4 * FRAME_LIMIT)

    def test_it_may_be_open_where_that_is_said(self):
        with Inspected("--inspect-openly", inspect="0.0.0.0:0") as server:
            server.page = "127.0.0.1:" + server.page.rpartition(":")[2]
            self.assertEqual(server.get()[0], 200)


if __name__ == "__main__":
    unittest.main()
