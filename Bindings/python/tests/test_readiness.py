"""select, poll and epoll as the module select has them, the article's programs over them, and selectors."""

import contextlib
import os
import pathlib
import random
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import sluiceio

HERE = pathlib.Path(__file__).resolve().parent
HIGH = 2000  # over FD_SETSIZE


class Readiness(unittest.TestCase):
    def setUp(self):
        self.quiet = self.pair()[0]

    def pair(self):
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        return pair

    def interrupted(self, wait):
        """That a handler which raises ends a wait, and one that returns does not."""
        def handler(*_):
            if raises:
                raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        raises = False
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        start = time.monotonic()
        self.assertFalse(any(wait(0.05)))
        self.assertGreaterEqual(time.monotonic() - start, 0.05)
        raises = True
        with self.assertRaises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            wait(None)

    def test_constants_are_those_of_the_module(self):
        for name in dir(sluiceio):
            if name.startswith(("POLL", "EPOLL")):
                ours, theirs = getattr(sluiceio, name), getattr(select, name)
                self.assertEqual(ours, theirs & 0xFFFFFFFF if name == "EPOLLET" else theirs, name)

    def test_select(self):
        ours, theirs = self.pair()
        self.assertEqual(sluiceio.select([ours], [], [], 0), ([], [], []))
        theirs.send(b"x")
        number = ours.fileno()
        got = sluiceio.select([ours, number, ours], (ours,), iter([ours]), None)
        self.assertEqual(got, ([ours, number, ours], [ours], []))
        self.assertRaises(ValueError, sluiceio.select, [], [], [], -1)
        self.assertRaises(ValueError, sluiceio.select, [-1], [], [])
        self.assertRaises(TypeError, sluiceio.select, ["x"], [], [])
        ours.close()
        with self.assertRaises(OSError) as caught:
            sluiceio.select([number], [], [], 0)
        self.assertEqual(caught.exception.errno, 9)
        self.interrupted(lambda timeout: sluiceio.select([self.quiet], [], [], timeout))

    def test_numbers_over_1024(self):
        ours, theirs = self.pair()
        os.dup2(ours.fileno(), HIGH)
        self.addCleanup(os.close, HIGH)
        theirs.send(b"x")
        self.assertEqual(sluiceio.select([HIGH], [], [], 0)[0], [HIGH])
        for poller in (sluiceio.poll(), sluiceio.epoll()):
            poller.register(HIGH, sluiceio.POLLIN)
            self.assertEqual(poller.poll(0), [(HIGH, sluiceio.POLLIN)])

    def test_poll(self):
        ours, theirs = self.pair()
        poller = sluiceio.poll()
        poller.register(ours)
        self.assertEqual(poller.poll(0), [(ours.fileno(), sluiceio.POLLOUT)])
        poller.register(ours, sluiceio.POLLIN)
        self.assertEqual(poller.poll(1), [])
        theirs.send(b"x")
        self.assertEqual(poller.poll(), [(ours.fileno(), sluiceio.POLLIN)])
        poller.modify(ours, sluiceio.POLLIN | sluiceio.POLLRDHUP)
        theirs.close()
        told = sluiceio.POLLIN | sluiceio.POLLRDHUP | sluiceio.POLLHUP
        self.assertEqual(poller.poll(-1), [(ours.fileno(), told)])
        poller.unregister(ours)
        self.assertEqual(poller.poll(0), [])
        self.assertRaises(KeyError, poller.unregister, ours)
        self.assertRaises(FileNotFoundError, poller.modify, ours, 1)
        for mask, error in (("x", TypeError), (-1, ValueError), (2**16, OverflowError)):
            self.assertRaises(error, poller.register, ours, mask)
        poller.register(HIGH, sluiceio.POLLIN)
        self.assertEqual(poller.poll(), [(HIGH, sluiceio.POLLNVAL)])
        poller.unregister(HIGH)
        poller.register(self.quiet, sluiceio.POLLIN)
        self.interrupted(lambda timeout: poller.poll(timeout and timeout * 1000))

    def test_epoll(self):
        ours, theirs = self.pair()
        with sluiceio.epoll(sizehint=5) as poller:
            poller.register(ours, eventmask=sluiceio.EPOLLIN | sluiceio.EPOLLOUT)
            self.assertEqual(poller.poll(timeout=0), [(ours.fileno(), sluiceio.EPOLLOUT)])
            self.assertRaises(FileExistsError, poller.register, ours)
            self.assertRaises(FileNotFoundError, poller.modify, theirs, 1)
            poller.modify(ours, sluiceio.EPOLLIN | sluiceio.EPOLLONESHOT)
            theirs.send(b"x")
            self.assertEqual(select.select([poller], [], [], 1)[0], [poller])
            self.assertEqual(poller.poll(maxevents=1), [(ours.fileno(), sluiceio.EPOLLIN)])
            self.assertEqual(poller.poll(0), [])
            poller.modify(ours, sluiceio.EPOLLIN | sluiceio.EPOLLET)
            self.assertEqual(len(poller.poll(0)), 1)
            self.assertEqual(poller.poll(0), [])
            poller.unregister(ours)
            self.assertRaises(FileNotFoundError, poller.unregister, ours)
            poller.register(self.quiet, sluiceio.EPOLLIN)
            self.interrupted(lambda timeout: poller.poll(timeout))
            self.assertRaises(ValueError, poller.poll, 0, 0)
        self.assertTrue(poller.closed)
        self.assertRaises(ValueError, poller.poll, 0)
        self.assertRaises(ValueError, poller.fileno)
        self.assertRaises(ValueError, sluiceio.epoll, 0)
        self.assertRaises(OSError, sluiceio.epoll, -1, 12356)

    def test_a_call_while_another_thread_waits(self):
        def wait():
            with contextlib.suppress(RuntimeError):  # if the other thread is in a call just now
                while not poller.poll():
                    pass
                ended.set()

        ours, theirs = self.pair()
        poller = sluiceio.poll()
        poller.register(ours, sluiceio.POLLIN)
        ended, refused = threading.Event(), False
        thread = threading.Thread(target=wait)
        while not refused:
            if not thread.is_alive():
                thread = threading.Thread(target=wait)
                thread.start()
            try:
                poller.poll(0)
            except RuntimeError:
                refused = True
        self.assertFalse(ended.is_set())
        theirs.send(b"x")
        thread.join()
        self.assertTrue(ended.is_set())

    def test_a_child_has_a_poller_of_its_own(self):
        ours, theirs = self.pair()
        poller = sluiceio.epoll()
        poller.register(ours, sluiceio.EPOLLIN)
        child = os.fork()
        if child == 0:
            poller.unregister(ours)
            os._exit(0)
        os.waitpid(child, 0)
        theirs.send(b"x")
        self.assertEqual(len(poller.poll(0)), 1)


class Article(unittest.TestCase):
    def test_its_programs_run_with_another_import(self):
        for name in ("first_server", "complete_server"):
            with self.subTest(name):
                self.serve((HERE / f"article/{name}.py").read_text())

    def serve(self, program):
        # An address of the loopback that nobody else uses.
        host = ".".join(map(str, (127, *random.SystemRandom().randbytes(2), 9)))
        program = program.replace("127.0.0.1", host)
        with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE) as server:
            try:
                clients = [self.client(host) for _ in range(3)]
                for _ in range(3):
                    for index, client in enumerate(clients):
                        client.sendall(b"from %d" % index)
                    for index, client in enumerate(clients):
                        self.assertEqual(client.recv(100), b"from %d" % index)
                for client in clients:
                    client.close()
                with self.client(host) as late:
                    late.sendall(b"late")
                    self.assertEqual(late.recv(100), b"late")
                self.assertIsNone(server.poll())
            finally:
                server.kill()

    def client(self, host):
        until = time.monotonic() + 20
        while True:
            try:
                client = socket.create_connection((host, 9999))
                self.addCleanup(client.close)
                client.settimeout(20)
                return client
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise


class Selectors(unittest.TestCase):
    KINDS = (sluiceio.SelectSelector, sluiceio.PollSelector, sluiceio.EpollSelector)

    def test_what_is_ready_is_told_with_its_key(self):
        for kind in self.KINDS:
            ours, theirs = socket.socketpair()
            with ours, theirs, kind() as selector:
                key = selector.register(ours, selectors.EVENT_READ, "mine")
                self.assertEqual(selector.select(0), [])
                theirs.send(b"x")
                self.assertEqual(selector.select(), [(key, selectors.EVENT_READ)])
                both = selectors.EVENT_READ | selectors.EVENT_WRITE
                key = selector.modify(ours, both, "other")
                self.assertEqual(selector.select(), [(key, both)])
                self.assertIs(selector.get_key(ours), key)
                self.assertEqual(dict(selector.get_map()), {ours.fileno(): key})
                self.assertEqual(selector.unregister(ours), key)
            self.assertIsNone(selector.get_map())

    def test_a_file_is_ready_on_each(self):
        for kind in self.KINDS:
            with open(__file__) as file, kind() as selector:
                key = selector.register(file, selectors.EVENT_READ)
                self.assertEqual(selector.select(0), [(key, selectors.EVENT_READ)])


if __name__ == "__main__":
    unittest.main()
