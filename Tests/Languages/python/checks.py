"""What is reported in Python and never undefined: misuse, errors, and data kept past a pull."""

import ctypes
import errno
import math
import os
import pathlib
import re
import socket
import sys
import tempfile
import threading
import time
import unittest

import sluice

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Checks(unittest.TestCase):
    def setUp(self):
        self.loop = sluice.Loop()
        self.addCleanup(self.loop.destroy)

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
        name = f"unix:@sluice-checks-{os.getpid()}-{self.id()}"
        self.loop.listen(name, **options)
        client.connect(name[5:].replace("@", "\0"))
        return client, self.pull(sluice.ACCEPTED).id

    def data(self, client, sent=b"hello"):
        client.sendall(sent)
        return self.pull(sluice.DATA).data

    def test_stale_id(self):
        timer = self.loop.timer(1)
        self.loop.close(timer)
        other = self.loop.timer(1)
        self.assertNotEqual(timer, other)
        for call in (self.loop.pending, self.loop.fileno, lambda id: self.loop.timer_reset(id, 1)):
            with self.assertRaises(sluice.StaleHandle) as caught:
                call(timer)
            self.assertEqual(caught.exception.errno, errno.ESTALE)
        self.loop.close(timer)
        self.assertEqual(self.loop.write(timer, b"x"), sluice.GONE)
        self.loop.timer_reset(other, 1)
        self.loop.close(other)

    def test_wrong_kind(self):
        with self.assertRaises(sluice.WrongKind):
            self.loop.write(self.loop.timer(1), b"x")

    def test_wrong_thread(self):
        def misuse():
            for call in (self.loop.pull, self.loop.destroy, lambda: self.loop.timer(1)):
                with self.assertRaises(sluice.WrongThread):
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
        self.assertEqual(self.pull(sluice.POSTED).value, 2**64 - 1)

    def test_use_after_close(self):
        client, stream = self.connected()
        self.data(client)
        self.loop.destroy()
        self.loop.destroy()
        for call in (self.loop.pull, lambda: self.loop.post(1), self.loop.wake,
                     self.loop.update_now, self.loop.take_over, lambda: self.loop.timer(1),
                     lambda: self.loop.write(stream, b"x"), lambda: next(iter(self.loop))):
            self.assertRaises(sluice.ClosedLoop, call)

    def test_errors(self):
        with self.assertRaises(FileNotFoundError) as caught:
            self.loop.listen("unix:/no/such/folder/s")
        self.assertEqual(caught.exception.errno, errno.ENOENT)
        with self.assertRaisesRegex(sluice.Error, "not an address"):
            self.loop.listen("no address")
        with self.assertRaisesRegex(sluice.Error, "0 byte"):
            self.loop.listen("127.0.0.1:0\0")
        self.assertRaises(ValueError, self.loop.timer, math.nan)
        for never in (-math.inf, -1.5e10):
            self.assertRaisesRegex(sluice.Error, "negative", self.loop.timer, never)
        self.loop.close(self.loop.timer(math.inf))
        client, stream = self.connected()
        self.assertRaises(TypeError, self.loop.write, stream, 5)
        self.assertRaises(TypeError, self.loop.write, stream, "text")
        client.close()
        self.assertIsNone(self.pull(sluice.CLOSED).error)
        with socket.create_server(("127.0.0.1", 0)) as refusing:
            port = refusing.getsockname()[1]
        self.loop.connect(f"127.0.0.1:{port}")
        self.assertIsInstance(self.pull(sluice.CLOSED).error, ConnectionRefusedError)

    def test_names(self):
        listener = self.loop.listen("localhost:0")
        port = self.loop.local_address(listener).rpartition(":")[2]
        stream = self.loop.connect(f"localhost:{port}")
        self.assertEqual(self.pull(sluice.CONNECTED).id, stream)
        lookup = self.loop.resolve("localhost:443", sluice.IPV4)
        event = self.pull(sluice.RESOLVED)
        self.assertEqual((event.id, event.data, event.error), (lookup, ["127.0.0.1:443"], None))
        unknown = "sluice.invalid:80"  # nobody has it: RFC 6761
        self.loop.resolve(unknown)
        event = self.pull(sluice.RESOLVED)
        self.assertEqual(event.data, [])
        self.assertIsInstance(event.error, sluice.UnknownName)
        self.loop.connect(unknown)
        closed = self.pull(sluice.CLOSED).error
        self.assertIsInstance(closed, sluice.UnknownName)
        self.assertEqual(str(closed), str(event.error))
        for call in (self.loop.connect, self.loop.resolve):
            self.assertRaisesRegex(sluice.Error, r"\* is an address to listen at only", call, "*:80")

    def test_listener_from_elsewhere(self):
        listening = socket.create_server(("127.0.0.1", 0))
        with socket.create_connection(listening.getsockname()):
            listener = self.loop.listen_fd(listening.detach())
            self.assertEqual(self.pull(sluice.ACCEPTED).value, listener)
        with socket.socket() as other:
            self.assertRaises(sluice.NotListening, self.loop.listen_fd, other.fileno())

    def test_what_became_of_a_write(self):
        _client, stream = self.connected()
        self.assertEqual(self.loop.write(stream, b"x"), sluice.QUEUED)
        self.assertEqual(self.loop.write(stream, bytes(20_000_000)), sluice.OVER_HIGH_MARK)
        self.loop.shutdown(stream)
        self.assertEqual(self.loop.write(stream, b"x"), sluice.GONE)

    def opened(self, **options):
        """Has a loop with options be the one that is checked."""
        self.loop = sluice.Loop(**options)
        self.addCleanup(self.loop.destroy)

    def test_options_of_a_loop(self):
        self.opened(backend="poll", high_mark=10, low_mark=5, hard_limit=20, interruptible=True)
        stream = self.loop.connect(self.loop.local_address(self.loop.listen("127.0.0.1:0")))
        self.assertEqual(self.loop.write(stream, bytes(10)), sluice.QUEUED)
        self.assertEqual(self.loop.write(stream, bytes(10)), sluice.OVER_HIGH_MARK)
        self.assertEqual(self.loop.try_write(stream, bytes(1)), sluice.FULL)
        self.assertEqual(self.pull(sluice.DRAINED).id, stream)
        self.opened(handle_limit=1)
        self.loop.timer(1)
        self.assertRaises(sluice.Full, self.loop.timer, 1)
        self.opened(post_limit=1)
        self.loop.post(1)
        self.assertRaises(sluice.Full, self.loop.post, 1)
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
        closed = self.pull(sluice.CLOSED)
        self.assertEqual(closed.id, stream)
        self.assertIsInstance(closed.error, TimeoutError)
        client.close()
        listening = socket.create_server(("127.0.0.1", 0))
        with socket.create_connection(listening.getsockname()):
            self.loop.listen_fd(listening.detach(), high_mark=1, connection_limit=1)
            stream = self.pull(sluice.ACCEPTED).id
            self.assertEqual(self.loop.write(stream, b"ab"), sluice.OVER_HIGH_MARK)

    def only_ipv6(self, listener):
        with socket.socket(fileno=os.dup(self.loop.fileno(listener))) as listening:
            return listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)

    def test_options_of_a_stream(self):
        address = self.loop.local_address(self.loop.listen("127.0.0.1:0"))
        options = {"source": "127.0.0.2:0", "connect_timeout": 60, "linger": 0.5, "delay": True,
                   "keepalive": True, "keepalive_after": 30.5, "high_mark": 9, "low_mark": None}
        stream = self.loop.connect(address, **options)
        self.assertRegex(self.loop.local_address(stream), r"^127\.0\.0\.2:\d+$")
        with socket.socket(fileno=os.dup(self.loop.fileno(stream))) as connection:
            for level, name, value in ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 0),
                                       (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                                       (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 31)):
                self.assertEqual(connection.getsockopt(level, name), value)
        self.assertEqual(self.loop.write(stream, bytes(10)), sluice.OVER_HIGH_MARK)

    def test_adopt(self):
        ours, theirs = socket.socketpair()
        with theirs:
            stream = self.loop.adopt(ours.detach(), half_open=True, throttled=True)
            theirs.sendall(b"hello")
            theirs.shutdown(socket.SHUT_WR)
            event = self.pull(sluice.DATA)
            self.assertEqual((event.id, event.data), (stream, b"hello"))
            self.assertEqual(self.pull(sluice.EOF).id, stream)
            self.loop.write(stream, b"half-open")  # or it would be closed by now
            self.loop.close(stream)
            self.assertIsNone(self.pull(sluice.CLOSED).error)
            self.assertEqual(theirs.recv(100), b"half-open")
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.assertRaises(sluice.Error, self.loop.adopt, listening.fileno())
            self.assertGreaterEqual(os.fstat(listening.fileno()).st_ino, 0)  # it is still ours

    def test_options_out_of_range(self):
        def refused(kind, words, call, *arguments, **options):
            with self.assertRaisesRegex(kind, re.escape(words)):
                call(*arguments, **options)

        here, connect, listen = "127.0.0.1:0", self.loop.connect, self.loop.listen
        refused(sluice.BadOption, "high_mark=-1", sluice.Loop, high_mark=-1)
        refused(sluice.BadOption, f"hard_limit={2**64}", sluice.Loop, hard_limit=2**64)
        refused(sluice.BadOption, "high_mark=10, low_mark=20", sluice.Loop, high_mark=10, low_mark=20)
        refused(sluice.BadOption, "receive_size=1", sluice.Loop, receive_size=1)
        refused(sluice.Error, "backend='none'", sluice.Loop, backend="none")
        refused(TypeError, "high_mark=1.5", sluice.Loop, high_mark=1.5)
        refused(TypeError, "high_water=1", sluice.Loop, high_water=1)
        refused(sluice.BadOption, f"unix_mode={0o1000}", listen, here, unix_mode=0o1000)
        refused(sluice.BadOption, "backlog=0", listen, here, backlog=0)
        refused(sluice.BadOption, "linger=-1", listen, here, linger=-1)
        refused(sluice.BadOption, f"high_mark={2**40}", self.loop.listen_fd, 0, high_mark=2**40)
        refused(TypeError, "source='x'", listen, here, source="x")
        refused(TypeError, "connect_timeout=1", self.loop.adopt, 0, connect_timeout=1)
        refused(sluice.BadOption, "idle_timeout=nan", connect, here, idle_timeout=math.nan)
        refused(sluice.BadOption, "keepalive_after=40000", connect, here, keepalive_after=40000)
        refused(sluice.BadOption, "source='[::1]:0'", connect, "127.0.0.1:1", source="[::1]:0")
        refused(sluice.Error, "source='x'", connect, "127.0.0.1:1", source="x")
        refused(OSError, "source='192.0.2.1:0'", connect, "127.0.0.1:1", source="192.0.2.1:0")

    def accepted(self, count, **options):
        """So many clients, and the ids of their streams."""
        self.opened(**options)
        address = f"sluice-checks-{os.getpid()}-{self.id()}"
        self.loop.listen(f"unix:@{address}")
        clients = [socket.socket(socket.AF_UNIX) for _ in range(count)]
        for client in clients:
            self.addCleanup(client.close)
            client.connect("\0" + address)
        return clients, [self.pull(sluice.ACCEPTED).id for _ in clients]

    def test_a_stream_that_is_gone(self):
        clients, streams = self.accepted(4)
        closed, aborted, shut, last = streams
        self.loop.close(closed)
        self.loop.abort(aborted)
        self.loop.shutdown(shut)
        written = [self.loop.write(stream, b"to all") for stream in streams]
        self.assertEqual(written, [sluice.GONE, sluice.GONE, sluice.GONE, sluice.QUEUED])
        self.use(aborted, last)
        for client in clients[:2]:
            client.close()
        ended = {self.pull(sluice.CLOSED).id for _ in range(2)}
        self.assertEqual(ended, {closed, aborted})
        for stream in ended:
            self.use(stream, last)
        self.assertEqual(clients[3].recv(100), b"to all")
        clients[3].sendall(b"and back")
        self.assertEqual(self.pull(sluice.DATA).data, b"and back")

    def use(self, gone, other):
        """All calls that need not know that a stream is gone."""
        loop = self.loop
        for call in (loop.pause, loop.resume, loop.flush, loop.shutdown):
            self.assertIs(call(gone), False)
        self.assertIs(loop.hold(gone, 1), False)
        self.assertIs(loop.hold_until(gone, 1, 2), False)
        self.assertIs(loop.forward(gone, other), False)
        self.assertIs(loop.forward(other, gone), False)
        self.assertEqual(loop.try_write(gone, b"x"), sluice.GONE)
        loop.close(gone)
        loop.abort(gone)

    def test_over_the_hard_limit(self):
        clients, streams = self.accepted(3, hard_limit=20)
        slow, tried, other = streams
        self.assertEqual(self.loop.write(slow, bytes(20)), sluice.QUEUED)
        self.assertEqual(self.loop.write(slow, b"one more"), sluice.FULL)
        self.assertEqual(self.loop.write(slow, b"one more"), sluice.GONE)
        self.assertEqual(self.loop.try_write(tried, bytes(21)), sluice.FULL)
        self.assertEqual(self.loop.try_write(tried, b"fits"), sluice.QUEUED)
        self.assertEqual(self.loop.write(other, b"as ever"), sluice.QUEUED)
        event = self.pull(sluice.CLOSED)
        self.assertEqual((event.id, event.length), (slow, 20))
        self.assertIsInstance(event.error, sluice.Full)
        self.assertEqual([client.recv(100) for client in clients[1:]], [b"fits", b"as ever"])
        for client, stream in zip(clients[1:], streams[1:]):
            client.sendall(b"and back")
            event = self.pull(sluice.DATA)
            self.assertEqual((event.id, event.data), (stream, b"and back"))

    def test_abort_with_a_reason(self):
        _clients, [*streams, last] = self.accepted(5)
        reason = errno.EMSGSIZE
        for stream in streams[:2]:  # and an error that was told is one that can be told
            self.loop.abort(stream, reason)
            event = self.pull(sluice.CLOSED)
            reason = event.error
            self.assertEqual((event.id, type(reason), reason.errno), (stream, OSError, errno.EMSGSIZE))
        for stream, reason in zip(streams[2:], (sluice.Full(), sluice.Full)):
            self.loop.abort(stream, reason)
            self.assertIsInstance(self.pull(sluice.CLOSED).error, sluice.Full)
        for reason in (0, -errno.EMSGSIZE, OSError(), sluice.Error()):
            self.assertRaises(sluice.BadOption, self.loop.abort, last, reason)
        self.assertEqual(self.loop.write(last, b"x"), sluice.QUEUED)
        self.loop.abort(self.loop.timer(1), errno.EMSGSIZE)
        self.loop.abort(streams[0], errno.EMSGSIZE)  # it has ended

    def test_what_is_held_over_the_hard_limit(self):
        [client], [stream] = self.accepted(1, hard_limit=20)
        self.data(client, bytes(30))
        self.assertIs(self.loop.hold(stream, 30), False)
        self.assertIsInstance(self.pull(sluice.CLOSED).error, sluice.Full)

    def adopted(self, **options):
        """The other end of a stream, and its id."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        return theirs, self.loop.adopt(ours.detach(), **options)

    def test_what_comes_again(self):
        peer, stream = self.adopted()
        for sent, total, data, seen in ((b"ab", 0, b"ab", 0), (b"cd", 6, b"abcd", 2),
                                        (b"e", 0, None, 0), (b"f", -1, b"abcdef", 4)):
            peer.sendall(sent)
            if data is None:
                self.assertEqual(self.loop.pull(0), [])
                continue
            event = self.pull(sluice.DATA)
            self.assertEqual((event.data, event.seen, event.is_last), (data, seen, False))
            self.assertIs(self.loop.hold_until(stream, len(data), total), True)
        peer.close()
        event = self.pull(sluice.DATA)
        self.assertEqual((event.data, event.seen, event.is_last), (b"abcdef", 6, True))
        self.assertEqual(self.pull(sluice.EOF).id, stream)
        self.loop.post(3)
        event = self.pull(sluice.POSTED)
        self.assertEqual((event.seen, event.is_last), (0, False))

    def test_a_file_that_is_sent(self):
        peer, stream = self.adopted(high_mark=6)
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.flush()
            self.loop.write(stream, b"head ")
            self.assertEqual(self.loop.send_file(stream, file, 1, 100), 6)  # the high mark
            self.pull(sluice.DRAINED)
            self.assertEqual(self.loop.send_file(stream, file.fileno(), 7, 2), 2)
            self.assertEqual(self.loop.send_file(stream, file, 2, -1), 0)
            self.assertEqual(peer.recv(13, socket.MSG_WAITALL), b"head 12345678")
            with open(os.devnull, "wb") as unread:
                for other, offset, why in ((file, 10, errno.ENODATA), (file, -1, errno.EINVAL),
                                           (file, 2**64, errno.EINVAL), (-1, 0, errno.EBADF),
                                           (unread, 0, errno.EBADF), (peer, 0, errno.ESPIPE)):
                    with self.assertRaises(OSError) as caught:
                        self.loop.send_file(stream, other, offset, 1)
                    self.assertEqual(caught.exception.errno, why)
            self.assertEqual(self.loop.send_file(stream, file, 9, 1), 1)
            self.assertEqual(peer.recv(1), b"9")
            self.assertRaises(sluice.WrongKind, self.loop.send_file, self.loop.timer(1), file, 0, 1)
            peer.close()
            self.assertIsNone(self.loop.send_file(stream, file, 0, 1))
            event = self.pull(sluice.CLOSED)
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
        self.assertRaises(sluice.Error, self.loop.hold_until, stream, 6, 7)  # more than there was
        self.assertIs(self.loop.hold_until(stream, 5, 21), False)
        self.assertIsInstance(self.pull(sluice.CLOSED).error, sluice.Full)

    def test_what_a_for_leaves_comes_later(self):
        for value in range(5):
            self.loop.post(value)
        seen = [self.pull(sluice.POSTED).value for _ in range(2)]
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

    def test_a_signal_handler_that_posts_while_its_thread_does(self):
        with self.loop._posting:  # as within a post
            self.loop.post(1)
            self.loop.wake()
        self.assertEqual(self.pull(sluice.POSTED).value, 1)

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
        self.assertRaises(sluice.WrongThread, self.loop.pull, 0)
        self.assertRaises(sluice.WrongThread, self.loop.update_now)
        self.loop.take_over()
        self.assertEqual(self.loop.pull(0), [])

    def test_data_kept_past_a_pull(self):
        client, _ = self.connected()
        data = self.data(client)
        self.assertEqual((data, data[0], bytes(data)), (b"hello", ord("h"), b"hello"))
        self.assertTrue(data.readonly)
        self.loop.pull(0)
        self.assertRaises(ValueError, bytes, data)

        part = self.data(client)[1:3]
        self.assertRaises(BufferError, self.loop.pull, 0)
        self.assertRaises(BufferError, self.loop.destroy)
        self.assertEqual(part, b"el")  # it is what it was
        del part
        self.assertEqual(self.loop.pull(0), [])

    def test_parts_and_other_buffers_are_written_as_they_are(self):
        client, stream = self.connected()
        data = self.data(client)
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
            if event.kind == sluice.POSTED:
                break
            seen.append(event.id)
            left.discard(event.id)
            for timer in left:
                self.loop.close(timer)  # it has ended: its last event is gathered
            left.clear()
        self.assertEqual(len(seen), 1)

    def test_layouts_and_values_are_those_of_the_library(self):
        lines = (ROOT / "Tests/ABI/layout.txt").read_text()
        self.assertIn(f"struct sluice_event: size {sluice.EVENT.size}\n", lines)
        self.assertIn(f"SLUICE_FOREVER = {sluice.FOREVER}\n", lines)
        self.assertIn(f"SLUICE_ADDRESS_MAX = {sluice.ADDRESS_MAX}\n", lines)
        self.assertIn(f"SLUICE_LAST = {sluice.LAST}\n", lines)
        for name in ("READY TIMER SIGNAL POSTED ACCEPTED CONNECTED DATA EOF DRAINED CLOSED "
                     "OVERLOADED RESOLVED ANY_FAMILY IPV4 IPV6 READ PRIORITY WRITE ERROR HANGUP READ_CLOSED EDGE "
                     "ONE_SHOT").split():
            self.assertIn(f"    SLUICE_{name} = {getattr(sluice, name)}\n", lines)
        for code, kind in sluice.TYPES.items():
            self.assertIn(f" = {code}\n", lines, kind)
        for name, kind in (("options", sluice.LoopOptions), ("listen_options", sluice.ListenOptions),
                           ("stream_options", sluice.StreamOptions)):
            self.assertIn("\n".join(self.layout(f"sluice_{name}", kind)) + "\n", lines)
            for option, bits in kind.FLAGS.items():
                self.assertIn(f"    SLUICE_{option.upper()} = {bits[0]}\n", lines)
        self.assertIn("    SLUICE_UNTHROTTLED = 16\n", lines)

    def layout(self, name, kind):
        """A structure of ctypes, as layout.txt has it."""
        yield f"struct {name}: size {ctypes.sizeof(kind)}"
        for field, _ in kind._fields_:
            place = getattr(kind, field)
            yield f"    {field}: offset {place.offset}, size {place.size}"


class Names(unittest.TextTestResult):
    """Says of each check that it passed, as the checks of all languages do."""

    def addSuccess(self, test):
        name = test.id().rpartition(".test_")[2].replace("_", " ")
        print("ok", name)


if __name__ == "__main__":
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Names)
    unittest.main(testRunner=runner)
