"""The loop: what it does, and what is reported and never undefined: misuse, errors, and data kept past a
pull."""

import ctypes
import errno
import gc
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

import sluiceio
from sluiceio import Written

try:
    import _testcapi
except ImportError:
    _testcapi = None


class Checks(unittest.TestCase):
    def setUp(self):
        self.loop = sluiceio.Loop()
        self.addCleanup(self.loop.close)

    def pull(self, kind):
        """The next event of this kind."""
        for event in self.loop:
            if event.kind == kind:
                return event
        return None

    def connected(self, **options):
        """A client, and the id of its stream."""
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        name = f"unix:@sluice-checks-{os.getpid()}-{self._testMethodName}"
        self.loop.listen(name, **options)
        client.connect(name[5:].replace("@", "\0"))
        return client, self.pull(sluiceio.ACCEPTED).id

    def data(self, client, sent=b"hello"):
        client.sendall(sent)
        return self.pull(sluiceio.DATA).data

    def test_stale_id(self):
        timer = self.loop.timer(1)
        self.loop.close(timer)
        other = self.loop.timer(1)
        self.assertNotEqual(timer, other)
        for call in (self.loop.pending, self.loop.fileno_of, lambda id: self.loop.timer_reset(id, 1)):
            with self.assertRaises(sluiceio.StaleHandle) as caught:
                call(timer)
            self.assertEqual(caught.exception.errno, errno.ESTALE)
        self.loop.close(timer)
        self.assertEqual(self.loop.write(timer, b"x"), Written.GONE)
        self.loop.timer_reset(other, 1)
        self.loop.close(other)

    def test_wrong_kind(self):
        with self.assertRaises(sluiceio.WrongKind):
            self.loop.write(self.loop.timer(1), b"x")

    def test_wrong_thread(self):
        def misuse():
            for call in (self.loop.pull, self.loop.close, lambda: self.loop.timer(1)):
                with self.assertRaises(sluiceio.WrongThread):
                    call()
            self.assertEqual(data, expected)  # what is lent still is
            self.loop.post(2**64 - 1)
            done.append(True)

        done = []
        client, _ = self.connected()
        for expected in (None, b"hello"):
            data = self.data(client) if expected else None
            thread = threading.Thread(target=misuse)
            thread.start()
            thread.join()
            self.assertTrue(done.pop())
        self.assertEqual(self.pull(sluiceio.POSTED).value, 2**64 - 1)

    def test_use_after_close(self):
        client, stream = self.connected()
        self.data(client)
        self.loop.close()
        self.loop.close()
        for call in (self.loop.pull, lambda: self.loop.post(1), self.loop.wake,
                     self.loop.update_now, self.loop.take_over, lambda: self.loop.timer(1),
                     lambda: self.loop.write(stream, b"x"), lambda: next(iter(self.loop))):
            self.assertRaises(sluiceio.ClosedLoop, call)

    def test_errors(self):
        with self.assertRaises(FileNotFoundError) as caught:
            self.loop.listen("unix:/no/such/folder/s")
        self.assertEqual(caught.exception.errno, errno.ENOENT)
        with self.assertRaisesRegex(sluiceio.Error, "not an address"):
            self.loop.listen("no address")
        with self.assertRaisesRegex(sluiceio.Error, "0 byte"):
            self.loop.listen("127.0.0.1:0\0")
        self.assertRaises(ValueError, self.loop.timer, math.nan)
        for never in (-math.inf, -1.5e10):
            self.assertRaisesRegex(sluiceio.Error, "negative", self.loop.timer, never)
        self.loop.close(self.loop.timer(math.inf))
        client, stream = self.connected()
        self.assertRaises(TypeError, self.loop.write, stream, 5)
        self.assertRaises(TypeError, self.loop.write, stream, "text")
        client.close()
        self.assertIsNone(self.pull(sluiceio.CLOSED).error)
        with socket.socket() as refusing:  # it is bound but does not listen, so nobody else gets its port
            refusing.bind(("127.0.0.1", 0))
            self.loop.connect(refusing.getsockname())
            self.assertIsInstance(self.pull(sluiceio.CLOSED).error, ConnectionRefusedError)

    def test_names(self):
        listener = self.loop.listen("localhost:0")
        port = self.loop.local_address(listener).rpartition(":")[2]
        stream = self.loop.connect(f"localhost:{port}")
        self.assertEqual(self.pull(sluiceio.CONNECTED).id, stream)
        lookup = self.loop.resolve("localhost:443", sluiceio.Family.IPV4)
        event = self.pull(sluiceio.RESOLVED)
        self.assertEqual((event.id, event.data, event.error), (lookup, ["127.0.0.1:443"], None))
        unknown = "sluice.invalid:80"  # nobody has it: RFC 6761
        self.loop.resolve(unknown)
        event = self.pull(sluiceio.RESOLVED)
        self.assertEqual(event.data, [])
        self.assertIsInstance(event.error, sluiceio.UnknownName)
        self.loop.connect(unknown)
        closed = self.pull(sluiceio.CLOSED).error
        self.assertIsInstance(closed, sluiceio.UnknownName)
        self.assertEqual(str(closed), str(event.error))
        for call in (self.loop.connect, self.loop.resolve):
            self.assertRaisesRegex(sluiceio.Error, r"\* is an address to listen at only", call, "*:80")

    def test_listener_from_elsewhere(self):
        listening = socket.create_server(("127.0.0.1", 0))
        with socket.create_connection(listening.getsockname()):
            listener = self.loop.listen_fd(listening.detach())
            self.assertEqual(self.pull(sluiceio.ACCEPTED).value, listener)
        with socket.socket() as other:
            self.assertRaises(sluiceio.NotListening, self.loop.listen_fd, other.fileno())

    def test_what_became_of_a_write(self):
        _client, stream = self.connected()
        self.assertEqual(self.loop.write(stream, b"x"), Written.QUEUED)
        self.assertEqual(self.loop.write(stream, bytes(20_000_000)), Written.OVER_HIGH_MARK)
        self.loop.shutdown(stream)
        self.assertEqual(self.loop.write(stream, b"x"), Written.GONE)

    def opened(self, **options):
        """Has a loop with options be the one that is checked."""
        self.loop = sluiceio.Loop(**options)
        self.addCleanup(self.loop.close)

    def test_options_of_a_loop(self):
        self.opened(backend="poll", high_mark=10, low_mark=5, hard_limit=20)
        stream = self.loop.connect(self.loop.local_address(self.loop.listen("127.0.0.1:0")))
        self.assertEqual(self.loop.write(stream, bytes(10)), Written.QUEUED)
        self.assertEqual(self.loop.write(stream, bytes(10)), Written.OVER_HIGH_MARK)
        self.assertEqual(self.loop.try_write(stream, bytes(1)), Written.FULL)
        self.assertEqual(self.pull(sluiceio.DRAINED).id, stream)
        self.opened(handle_limit=1)
        self.loop.timer(1)
        self.assertRaises(sluiceio.Full, self.loop.timer, 1)
        self.opened(post_limit=1)
        self.loop.post(1)
        self.assertRaises(sluiceio.Full, self.loop.post, 1)
        self.opened(receive_size=4096, memory_limit=4096)
        client, _ = self.connected()
        self.assertEqual(len(self.data(client, bytes(5000))), 4096)

    def test_options_of_a_listener(self):
        with tempfile.TemporaryDirectory() as folder:
            self.loop.listen(f"unix:{folder}/s", unix_mode=0o620)
            self.assertEqual(os.stat(f"{folder}/s").st_mode & 0o777, 0o620)
        listener = self.loop.listen("[::]:0", only_ipv6=True, reuse_port=True)
        self.assertEqual(self.only_ipv6(listener), 1)
        self.loop.listen(self.loop.local_address(listener), only_ipv6=True, reuse_port=True)
        self.assertEqual(self.only_ipv6(self.loop.listen("[::]:0")), 0)
        client, stream = self.connected(idle_timeout=0.001, backlog=5, accept_batch=1)
        closed = self.pull(sluiceio.CLOSED)
        self.assertEqual(closed.id, stream)
        self.assertIsInstance(closed.error, TimeoutError)
        client.close()
        listening = socket.create_server(("127.0.0.1", 0))
        with socket.create_connection(listening.getsockname()):
            self.loop.listen_fd(listening.detach(), high_mark=1, connection_limit=1)
            stream = self.pull(sluiceio.ACCEPTED).id
            self.assertEqual(self.loop.write(stream, b"ab"), Written.OVER_HIGH_MARK)

    def only_ipv6(self, listener):
        with socket.socket(fileno=os.dup(self.loop.fileno_of(listener))) as listening:
            return listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)

    def test_options_of_a_stream(self):
        address = self.loop.local_address(self.loop.listen("127.0.0.1:0"))
        options = {"source": "127.0.0.2:0", "connect_timeout": 60, "linger": 0.5, "delay": True,
                   "keepalive": True, "keepalive_after": 30.5, "high_mark": 9, "low_mark": None}
        stream = self.loop.connect(address, **options)
        self.assertRegex(self.loop.local_address(stream), r"^127\.0\.0\.2:\d+$")
        with socket.socket(fileno=os.dup(self.loop.fileno_of(stream))) as connection:
            for level, name, value in ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 0),
                                       (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                                       (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 31)):
                self.assertEqual(connection.getsockopt(level, name), value)
        self.assertEqual(self.loop.write(stream, bytes(10)), Written.OVER_HIGH_MARK)

    def test_adopt(self):
        ours, theirs = socket.socketpair()
        with theirs:
            stream = self.loop.adopt(ours.detach(), half_open=True, throttled=True)
            theirs.sendall(b"hello")
            theirs.shutdown(socket.SHUT_WR)
            event = self.pull(sluiceio.DATA)
            self.assertEqual((event.id, event.data), (stream, b"hello"))
            self.assertEqual(self.pull(sluiceio.EOF).id, stream)
            self.loop.write(stream, b"half-open")  # or it would be closed by now
            self.loop.close(stream)
            self.assertIsNone(self.pull(sluiceio.CLOSED).error)
            self.assertEqual(theirs.recv(100), b"half-open")
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.assertRaises(sluiceio.Error, self.loop.adopt, listening.fileno())
            self.assertGreaterEqual(os.fstat(listening.fileno()).st_ino, 0)  # it is still ours

    def test_options_out_of_range(self):
        def refused(kind, words, call, *arguments, **options):
            with self.assertRaisesRegex(kind, re.escape(words)):
                call(*arguments, **options)

        here, connect, listen = "127.0.0.1:0", self.loop.connect, self.loop.listen
        refused(sluiceio.BadOption, "high_mark=-1", sluiceio.Loop, high_mark=-1)
        refused(sluiceio.BadOption, f"hard_limit={2**64}", sluiceio.Loop, hard_limit=2**64)
        refused(sluiceio.BadOption, "high_mark=10, low_mark=20", sluiceio.Loop, high_mark=10, low_mark=20)
        refused(sluiceio.BadOption, "receive_size=1", sluiceio.Loop, receive_size=1)
        refused(sluiceio.Error, "backend='none'", sluiceio.Loop, backend="none")
        refused(TypeError, "high_mark=1.5", sluiceio.Loop, high_mark=1.5)
        refused(TypeError, "high_water=1", sluiceio.Loop, high_water=1)
        refused(sluiceio.BadOption, f"unix_mode={0o1000}", listen, here, unix_mode=0o1000)
        refused(sluiceio.BadOption, "backlog=0", listen, here, backlog=0)
        refused(sluiceio.BadOption, "linger=-1", listen, here, linger=-1)
        refused(sluiceio.BadOption, f"high_mark={2**40}", self.loop.listen_fd, 0, high_mark=2**40)
        refused(TypeError, "source='x'", listen, here, source="x")
        refused(TypeError, "connect_timeout=1", self.loop.adopt, 0, connect_timeout=1)
        refused(sluiceio.BadOption, "idle_timeout=nan", connect, here, idle_timeout=math.nan)
        refused(sluiceio.BadOption, "keepalive_after=40000", connect, here, keepalive_after=40000)
        refused(sluiceio.BadOption, "source='[::1]:0'", connect, "127.0.0.1:1", source="[::1]:0")
        refused(sluiceio.Error, "source='x'", connect, "127.0.0.1:1", source="x")
        refused(OSError, "source='192.0.2.1:0'", connect, "127.0.0.1:1", source="192.0.2.1:0")

    def accepted(self, count, **options):
        """So many clients, and the ids of their streams."""
        self.opened(**options)
        address = f"sluice-checks-{os.getpid()}-{self._testMethodName}"
        self.loop.listen(f"unix:@{address}")
        clients = [socket.socket(socket.AF_UNIX) for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
            client.connect("\0" + address)
        return clients, [self.pull(sluiceio.ACCEPTED).id for _ in clients]

    def test_a_stream_that_is_gone(self):
        clients, streams = self.accepted(4)
        closed, aborted, shut, last = streams
        self.loop.close(closed)
        self.loop.abort(aborted)
        self.loop.shutdown(shut)
        written = [self.loop.write(stream, b"to all") for stream in streams]
        self.assertEqual(written, [Written.GONE, Written.GONE, Written.GONE, Written.QUEUED])
        self.use(aborted, last)
        for client in clients[:2]:
            client.close()
        ended = {self.pull(sluiceio.CLOSED).id for _ in range(2)}
        self.assertEqual(ended, {closed, aborted})
        for stream in ended:
            self.use(stream, last)
        self.assertEqual(clients[3].recv(100), b"to all")
        clients[3].sendall(b"and back")
        self.assertEqual(self.pull(sluiceio.DATA).data, b"and back")

    def use(self, gone, other):
        """All calls that need not know that a stream is gone."""
        loop = self.loop
        for call in (loop.pause, loop.resume, loop.flush, loop.shutdown):
            self.assertIs(call(gone), False)
        self.assertIs(loop.hold(gone, 1), False)
        self.assertIs(loop.hold_until(gone, 1, 2), False)
        self.assertIs(loop.forward(gone, other), False)
        self.assertIs(loop.forward(other, gone), False)
        self.assertEqual(loop.try_write(gone, b"x"), Written.GONE)
        loop.close(gone)
        loop.abort(gone)

    def test_over_the_hard_limit(self):
        clients, streams = self.accepted(3, hard_limit=20)
        slow, tried, other = streams
        self.assertEqual(self.loop.write(slow, bytes(20)), Written.QUEUED)
        self.assertEqual(self.loop.write(slow, b"one more"), Written.FULL)
        self.assertEqual(self.loop.write(slow, b"one more"), Written.GONE)
        self.assertEqual(self.loop.try_write(tried, bytes(21)), Written.FULL)
        self.assertEqual(self.loop.try_write(tried, b"fits"), Written.QUEUED)
        self.assertEqual(self.loop.write(other, b"as ever"), Written.QUEUED)
        event = self.pull(sluiceio.CLOSED)
        self.assertEqual((event.id, event.length), (slow, 20))
        self.assertIsInstance(event.error, sluiceio.Full)
        self.assertEqual([client.recv(100) for client in clients[1:]], [b"fits", b"as ever"])
        for client, stream in zip(clients[1:], streams[1:]):
            client.sendall(b"and back")
            event = self.pull(sluiceio.DATA)
            self.assertEqual((event.id, event.data), (stream, b"and back"))

    def test_abort_with_a_reason(self):
        _clients, [*streams, last] = self.accepted(5)
        reason = errno.EMSGSIZE
        for stream in streams[:2]:  # and an error that was told is one that can be told
            self.loop.abort(stream, reason)
            event = self.pull(sluiceio.CLOSED)
            reason = event.error
            self.assertEqual((event.id, type(reason), reason.errno), (stream, OSError, errno.EMSGSIZE))
        for stream, reason in zip(streams[2:], (sluiceio.Full(), sluiceio.Full)):
            self.loop.abort(stream, reason)
            self.assertIsInstance(self.pull(sluiceio.CLOSED).error, sluiceio.Full)
        for reason in (0, -errno.EMSGSIZE, OSError(), sluiceio.Error()):
            self.assertRaises(sluiceio.BadOption, self.loop.abort, last, reason)
        self.assertEqual(self.loop.write(last, b"x"), Written.QUEUED)
        self.loop.abort(self.loop.timer(1), errno.EMSGSIZE)
        self.loop.abort(streams[0], errno.EMSGSIZE)  # it has ended

    def test_what_is_held_over_the_hard_limit(self):
        [client], [stream] = self.accepted(1, hard_limit=20)
        self.data(client, bytes(30))
        self.assertIs(self.loop.hold(stream, 30), False)
        self.assertIsInstance(self.pull(sluiceio.CLOSED).error, sluiceio.Full)

    def adopted(self, **options):
        """The other end of a stream, and its id."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        return theirs, self.loop.adopt(ours.detach(), **options)

    def test_what_comes_again(self):
        peer, stream = self.adopted()
        for sent, total, data, seen in ((b"ab", 0, b"ab", 0), (b"cd", 6, b"abcd", 2),
                                        (b"e", 0, None, 0), (b"f", 0, b"abcdef", 4)):
            peer.sendall(sent)
            if data is None:
                self.assertEqual(self.loop.pull(0), [])
                continue
            event = self.pull(sluiceio.DATA)
            self.assertEqual((event.data, event.seen, event.is_last), (data, seen, False))
            self.assertIs(self.loop.hold_until(stream, len(data), total), True)
        peer.close()
        event = self.pull(sluiceio.DATA)
        self.assertEqual((event.data, event.seen, event.is_last), (b"abcdef", 6, True))
        self.assertEqual(self.pull(sluiceio.EOF).id, stream)
        self.loop.post(3)
        event = self.pull(sluiceio.POSTED)
        self.assertEqual((event.seen, event.is_last), (0, False))

    def test_a_file_that_is_sent(self):
        peer, stream = self.adopted(high_mark=6)
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.flush()
            self.loop.write(stream, b"head ")
            self.assertEqual(self.loop.send_file(stream, file, 1, 100), 6)  # the high mark
            self.pull(sluiceio.DRAINED)
            self.assertEqual(self.loop.send_file(stream, file.fileno(), 7, 2), 2)
            self.assertEqual(self.loop.send_file(stream, file, 2, -1), 0)
            self.assertEqual(peer.recv(13, socket.MSG_WAITALL), b"head 12345678")
            with open(os.devnull, "wb") as unread:
                for other, offset, why in ((file, 10, errno.ENODATA), (file, -1, errno.EINVAL),
                                           (-1, 0, errno.EBADF),
                                           (unread, 0, errno.EBADF), (peer, 0, errno.ESPIPE)):
                    with self.assertRaises(OSError) as caught:
                        self.loop.send_file(stream, other, offset, 1)
                    self.assertEqual(caught.exception.errno, why)
            self.assertEqual(self.loop.send_file(stream, file, 9, 1), 1)
            self.assertEqual(peer.recv(1), b"9")
            self.assertRaises(sluiceio.WrongKind, self.loop.send_file, self.loop.timer(1), file, 0, 1)
            peer.close()
            self.assertIsNone(self.loop.send_file(stream, file, 0, 1))
            event = self.pull(sluiceio.CLOSED)
            self.assertEqual((event.id, type(event.error)), (stream, BrokenPipeError))
            self.assertIsNone(self.loop.send_file(stream, file, 0, 1))
            peer, stream = self.adopted()
            self.loop.shutdown(stream)
            self.assertIsNone(self.loop.send_file(stream, file, -1, 1))
        self.assertRaises(ValueError, self.loop.send_file, stream, file, 0, 1)  # it is closed

    def test_what_is_waited_for_over_the_hard_limit(self):
        self.opened(hard_limit=20)
        peer, stream = self.adopted()
        self.data(peer)
        self.assertRaises(sluiceio.Error, self.loop.hold_until, stream, 6, 7)  # more than there was
        self.assertIs(self.loop.hold_until(stream, 5, 21), False)
        self.assertIsInstance(self.pull(sluiceio.CLOSED).error, sluiceio.Full)

    def test_what_a_for_leaves_comes_later(self):
        for value in range(5):
            self.loop.post(value)
        seen = [self.pull(sluiceio.POSTED).value for _ in range(2)]
        seen.extend(event.value for event in self.loop.pull())
        self.assertEqual(seen, [0, 1, 2, 3, 4])
        self.assertEqual(self.loop.pull(0), [])

    def test_posts_come_whatever_is_closed(self):
        for value in (1, 2):
            self.loop.post(value)
        seen = []
        for event in self.loop:
            seen.append(event.value)
            self.loop.close(0)
            if len(seen) == 2:
                break
        self.assertEqual(seen, [1, 2])

    def test_wake(self):
        thread = threading.Thread(target=self.loop.wake)
        thread.start()
        self.assertEqual(self.loop.pull(), [])
        thread.join()

    def test_time_and_thread(self):
        before = time.monotonic()
        self.assertLessEqual(before, self.loop.update_now())
        self.assertLessEqual(self.loop.update_now(), time.monotonic())

        def other():
            self.loop.take_over()
            pulled.append(self.loop.pull(0))

        pulled = []
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        self.assertEqual(pulled, [[]])
        self.assertRaises(sluiceio.WrongThread, self.loop.pull, 0)
        self.assertRaises(sluiceio.WrongThread, self.loop.update_now)
        self.loop.take_over()
        self.assertEqual(self.loop.pull(0), [])

    def test_bytes_are_a_copy(self):
        client, _ = self.connected()
        data = self.data(client)
        self.assertIs(type(data), bytes)
        self.loop.pull(0)
        self.assertEqual(data, b"hello")

    def test_a_view_ends_with_the_next_pull(self):
        self.opened(views=True)
        client, _ = self.connected()
        data = self.data(client)
        self.assertEqual((data, data[0], bytes(data)), (b"hello", ord("h"), b"hello"))
        self.assertTrue(data.readonly)
        self.loop.pull(0)
        self.assertRaises(ValueError, bytes, data)

        part = self.data(client)[1:3]
        self.assertRaises(BufferError, self.loop.pull, 0)
        self.assertRaises(BufferError, self.loop.close)
        self.assertEqual(part, b"el")  # it is what it was
        del part
        self.assertEqual(self.loop.pull(0), [])

    def test_a_view_in_a_cycle_that_nobody_has_keeps_no_pull(self):
        self.opened(views=True)
        client, _ = self.connected()
        cycle = [self.data(client)[1:]]
        cycle.append(cycle)
        del cycle
        self.assertEqual(self.loop.pull(0), [])

    def test_leaving_a_with_block_hides_no_error(self):
        with self.assertWarns(ResourceWarning):
            with self.assertRaisesRegex(RuntimeError, "the real error"):
                with sluiceio.Loop(views=True) as self.loop:
                    client, _ = self.connected()
                    part = self.data(client)[1:]
                    raise RuntimeError("the real error")
            self.opened()
            self.assertEqual(part, b"ello")  # and the loop is there as long as it is
            del part
            gc.collect()

    def test_bytes_of_a_refused_pull_stay(self):
        self.opened(views=True)
        client, _ = self.connected()
        data = self.data(client)
        for call in (self.loop.pull, self.loop.close, lambda: next(self.loop)):
            self.assertIsInstance(self.elsewhere(call), sluiceio.WrongThread)
            self.assertEqual(data, b"hello")

    def elsewhere(self, call):
        """What another thread's call raises."""
        def run():
            try:
                call()
            except BaseException as error:
                raised.append(error)

        raised = [None]
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return raised[-1]

    def test_a_refused_close_loses_no_event(self):
        first, second = self.loop.timer(0), self.loop.timer(0)
        self.assertEqual(next(self.loop).id, first)
        self.assertIsInstance(self.elsewhere(lambda: self.loop.close(second)), sluiceio.WrongThread)
        self.assertEqual(next(self.loop).id, second)

    def test_an_exception_in_a_for_loses_no_event(self):
        clients, _streams = self.accepted(2)
        for client in clients:
            client.sendall(b"request")
        seen = []
        with self.assertRaises(RuntimeError):
            for event in self.loop:
                seen.append(event.data)
                raise RuntimeError
        seen.append(self.pull(sluiceio.DATA).data)
        self.assertEqual(seen, [b"request", b"request"])

    def test_a_pull_in_a_for_gives_the_rest(self):
        for value in range(3):
            self.loop.post(value)
        for event in self.loop:
            self.assertEqual([other.value for other in self.loop.pull(0)], [1, 2])
            break

    def test_batches_of_any_size(self):
        for batch in (1, 3, 1000):
            self.opened(batch=batch)
            for value in range(2000):
                self.loop.post(value)
            pulled = [len(self.loop.pull(0)) for _ in range(2000 // batch)]
            self.assertEqual(set(pulled), {batch})
        for batch in (0, -1, 2**20):
            self.assertRaises(sluiceio.BadOption, sluiceio.Loop, batch=batch)

    def test_a_handler_of_a_signal_ends_a_pull(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        self.on_signal(signal.SIGALRM, interrupt)
        for call in (self.loop.pull, self.loop.next, lambda: next(self.loop)):
            with self.assertRaises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.01)
                call()
        self.loop.post(1)
        self.assertEqual(next(self.loop).value, 1)

    def test_a_handler_that_returns_ends_none(self):
        calls = []
        self.on_signal(signal.SIGALRM, lambda *_: calls.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        before = time.monotonic()
        self.assertEqual(self.loop.pull(0.05), [])
        self.assertGreaterEqual(time.monotonic() - before, 0.05)
        self.assertEqual(calls, [1])

    def test_a_handler_may_post(self):
        self.on_signal(signal.SIGALRM, lambda *_: self.loop.post(2))
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        posted = 0
        while not any(event.value == 2 for event in self.loop.pull(0)):
            for _ in range(100):
                self.loop.post(1)
            posted += 100
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.assertGreater(posted, 0)

    def on_signal(self, number, handler):
        before = signal.signal(number, handler)
        self.addCleanup(signal.signal, number, before)

    def test_an_interrupt_of_close_leaves_nothing_that_is_used(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        self.on_signal(signal.SIGALRM, interrupt)
        for _ in range(200):
            loop = sluiceio.Loop()
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00002)
                loop.close()
                while True:  # until the signal comes
                    time.sleep(0.01)
            except KeyboardInterrupt:
                pass
            loop.close()
            self.assertRaises(sluiceio.ClosedLoop, loop.timer, 1)

    def test_close_in_a_for(self):
        for value in (1, 2):
            self.loop.post(value)
        with self.assertRaises(sluiceio.ClosedLoop):
            for event in self.loop:
                self.assertEqual(event.value, 1)
                self.loop.close()
        self.assertTrue(self.loop.closed)

    def test_a_child_leaves_the_parents_socket_file(self):
        for ends in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                self.opened()
                path = f"{folder}/s"
                self.loop.listen("unix:" + path)
                self.loop.timer(0.02)
                child = os.fork()
                if child == 0:
                    if ends:
                        self.loop.close()
                    else:
                        self.loop = None
                    os._exit(0)
                os.waitpid(child, 0)
                self.assertTrue(os.path.exists(path))
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(path)
                    kinds = {next(self.loop).kind for _ in range(2)}
                self.assertEqual(kinds, {sluiceio.ACCEPTED, sluiceio.TIMER})
                self.loop.close()

    def test_a_child_has_a_loop_of_its_own(self):
        self.loop.timer(0.01)
        child = os.fork()
        if child == 0:
            os._exit(7 if next(self.loop).kind is sluiceio.TIMER else 1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 7)
        self.assertIs(next(self.loop).kind, sluiceio.TIMER)

    def test_a_loop_that_is_dropped_says_so_and_keeps_nothing(self):
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            with self.assertWarnsRegex(ResourceWarning, "unclosed loop"):
                loop = sluiceio.Loop()
                loop.listen("127.0.0.1:0")
                del loop
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_names_of_any_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.fsencode(folder) + b"/\xff"
            listener = self.loop.listen("unix:" + os.fsdecode(path))
            self.assertEqual(os.fsencode(self.loop.local_address(listener)), b"unix:" + path)
            with socket.socket(socket.AF_UNIX) as client:
                client.bind(path + b"\xfe")
                client.connect(path)
                stream = self.pull(sluiceio.ACCEPTED).id
                peer = self.loop.peer_address(stream)
            self.assertEqual(os.fsencode(peer), b"unix:" + path + b"\xfe")

    def test_numbers_that_are_too_large(self):
        timer = self.loop.timer(5)
        for call in (lambda: self.loop.post(2**64 + 5), lambda: self.loop.post(-1),
                     lambda: self.loop.close(2**64 + timer),
                     lambda: self.loop.watch(2**32, sluiceio.READ)):
            self.assertRaises(OverflowError, call)
        self.assertRaises(OSError, self.loop.signal, 2**31)
        self.loop.post(1)
        self.assertEqual(self.loop.pull(math.inf)[0].value, 1)

    def test_addresses_as_tuples(self):
        for host in ("127.0.0.1", "::1", ""):
            listener = self.loop.listen((host, 0))
            port = int(self.loop.local_address(listener).rpartition(":")[2])
            self.loop.connect((host or "127.0.0.1", port))
            self.assertEqual(self.pull(sluiceio.ACCEPTED).value, listener)
        self.assertRaises(TypeError, self.loop.listen, b"127.0.0.1:0")
        self.assertRaises(TypeError, self.loop.listen, None)

    def test_objects_with_a_descriptor(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            watch = self.loop.watch(ours, sluiceio.READ)
            self.assertEqual(self.loop.fileno_of(watch), ours.fileno())
            theirs.send(b"x")
            event = self.pull(sluiceio.READY)
            self.assertEqual((event.id, event.flags), (watch, sluiceio.READ))
            self.assertIsInstance(event.flags, sluiceio.Interest)
            self.loop.close(watch)

    def test_what_is_attached_comes_with_each_event(self):
        clients, [stream] = self.accepted(1)
        mine = object()
        self.loop.set_user(stream, mine)
        self.assertIs(self.loop.user(stream), mine)
        clients[0].sendall(b"x")
        self.assertIs(self.pull(sluiceio.DATA) and self.loop.user(stream), mine)
        clients[0].close()
        for event in self.loop:
            self.assertIs(event.user, mine)
            if event.kind is sluiceio.CLOSED:
                break
        self.assertRaises(sluiceio.StaleHandle, self.loop.user, stream)
        timer = self.loop.timer(0)
        self.loop.set_user(timer, mine)
        self.assertIs(self.pull(sluiceio.TIMER).user, mine)
        references = sys.getrefcount(mine)
        timer = self.loop.timer(0)
        self.loop.set_user(timer, mine)
        self.loop.close(timer)
        self.assertEqual(sys.getrefcount(mine), references)

    def test_a_connection_has_what_its_listener_has(self):
        listener = self.loop.listen("127.0.0.1:0")
        self.loop.set_user(listener, "web")
        self.loop.connect(self.loop.local_address(listener))
        event = self.pull(sluiceio.ACCEPTED)
        self.assertEqual((event.user, self.loop.user(event.id)), ("web", "web"))

    def test_lines(self):
        peer, _ = self.adopted()
        lines = []
        for piece in (b"a\nb", b"", b"c\n\nlast"):
            if piece:
                peer.sendall(piece)
                lines.extend(self.loop.lines(self.pull(sluiceio.DATA)))
        peer.close()
        for event in self.loop:
            if event.kind is sluiceio.DATA:
                lines.extend(self.loop.lines(event))
            elif event.kind is sluiceio.CLOSED:
                break
        self.assertEqual(lines, [b"a", b"bc", b"", b"last"])

    def test_a_line_that_is_too_long(self):
        for sent in (b"123\n1234\n", b"123\n1234"):
            peer, _ = self.adopted()
            peer.sendall(sent)
            self.assertEqual(list(self.loop.lines(self.pull(sluiceio.DATA), 3)), [b"123"])
            self.assertEqual(self.pull(sluiceio.CLOSED).error.errno, errno.EMSGSIZE)

    def test_frames(self):
        peer, _ = self.adopted()
        sent = [b"x" * size for size in (0, 1, 300, 5000)]
        whole = b"".join(len(each).to_bytes(2) + each for each in sent)
        frames = []
        for start in range(0, len(whole), 700):
            peer.sendall(whole[start : start + 700])
            for event in self.loop.pull(0.01 if start else None):
                frames.extend(self.loop.frames(event, 2))
        self.assertEqual(frames, sent)
        peer.sendall((9).to_bytes(4))
        self.assertEqual(list(self.loop.frames(self.pull(sluiceio.DATA), limit=8)), [])
        self.assertEqual(self.pull(sluiceio.CLOSED).error.errno, errno.EMSGSIZE)

    def test_forward(self):
        left, from_left = self.adopted()
        right, to_right = self.adopted()
        self.assertIs(self.loop.forward(from_left, to_right), True)
        left.sendall(b"through")
        right.settimeout(0)
        for _ in range(2):  # the second pull sends what the first has received
            self.loop.pull(0.01)
        self.assertEqual(right.recv(100), b"through")

    def test_an_end_says_whether_the_input_had_ended(self):
        clients, streams = self.accepted(2)
        clients[0].close()
        event = self.pull(sluiceio.CLOSED)
        self.assertEqual((event.id, event.input_ended), (streams[0], True))
        self.loop.abort(streams[1])
        event = self.pull(sluiceio.CLOSED)
        self.assertEqual((event.id, event.input_ended), (streams[1], False))

    def test_kinds_and_statistics(self):
        listener = self.loop.listen("127.0.0.1:0")
        self.assertIs(self.loop.kind_of(listener), sluiceio.HandleKind.LISTENER)
        self.assertEqual(self.loop.stats().handles[sluiceio.HandleKind.LISTENER], 1)
        self.assertEqual(self.loop.stats().events[sluiceio.DATA], 0)

    def test_threads_that_are_left_at_the_end(self):
        program = """
import sluiceio, threading
def run():
    loop = sluiceio.Loop()
    ready.set()
    loop.pull()
ready = threading.Event()
threading.Thread(target=run, daemon=True).start()
ready.wait()
"""
        subprocess.run([sys.executable, "-c", program], check=True, timeout=20)

    def test_parts_and_other_buffers_are_written_as_they_are(self):
        client, stream = self.connected()
        data = memoryview(self.data(client))
        for each in (data, data[1:3], data[::-1], bytearray(b"!"), memoryview(b"ab")[1:]):
            self.loop.write(stream, each)
        del each
        self.loop.pull(0)
        self.assertEqual(client.recv(100), b"hello" b"el" b"olleh" b"!" b"b")

        class Liar(bytes):
            def __len__(self):
                return 3000

        numbers = (ctypes.c_uint32 * 4)(*b"abcd")
        for each in (Liar(b"hi"), memoryview(numbers).cast("B")[8:12], numbers):
            self.loop.write(stream, each)
        self.loop.pull(0)
        self.assertEqual(client.recv(4000), b"hi" + b"c\0\0\0" + bytes(numbers))

    def test_no_event_of_a_handle_that_was_closed_in_its_batch(self):
        left = {self.loop.timer(0) for _ in range(8)}
        self.loop.post(0)
        seen = []
        for event in self.loop:
            if event.kind == sluiceio.POSTED:
                break
            seen.append(event.id)
            left.discard(event.id)
            for timer in left:
                self.loop.close(timer)  # it has ended: its last event is gathered
            left.clear()
        self.assertEqual(len(seen), 1)

    def test_what_runs_while_events_are_made_does_not_take_their_bytes_away(self):
        loop = self.loop
        refused = []

        class Last:
            def __del__(self):
                for call in (loop.close, loop.pull, loop.next):
                    try:
                        call()
                    except sluiceio.Error as error:
                        refused.append(error.code)

        for pull in (lambda: loop.pull(0), lambda: [loop.next(0) for _ in "ab"]):
            loop.set_user(loop.timer(0), Last())
            self.assertEqual(self.pull(sluiceio.TIMER).kind, sluiceio.TIMER)
            for byte in b"ab":
                near, far = socket.socketpair()
                self.addCleanup(far.close)
                loop.adopt(near.detach())
                far.send(bytes([byte]) * 20_000)
            self.assertEqual([bytes(event.data[:1]) for event in pull()], [b"a", b"b"])
        self.assertEqual(len(refused), 6)

    def test_a_long_chain_of_events_takes_no_deep_stack_to_go(self):
        event = self.loop
        for _ in range(200_000):
            self.loop.set_user(self.loop.timer(0), event)
            event = self.loop.next()
        self.assertIsInstance(event.user, sluiceio.Event)
        del event
        for _ in range(2):  # the loop has two events, to use them again
            self.loop.timer(0)
            self.assertIsNone(self.loop.next().user)

    @unittest.skipIf(_testcapi is None, "nothing here makes another interpreter")
    def test_another_interpreter_of_the_process_is_refused(self):
        read, write = os.pipe()
        code = f"""
            import os, sys
            sys.path[:] = {sys.path!r}
            try:
                import sluiceio
            except ImportError as error:
                os.write({write}, str(error).encode())
            os.write({write}, b".")
        """
        with open(read, "rb") as told:
            _testcapi.run_in_subinterp(textwrap.dedent(code))
            os.close(write)
            self.assertIn(b"another interpreter", told.read())


if __name__ == "__main__":
    unittest.main()
