"""asyncio on Sluice's event loop: what CPython's own tests (stdlib.py) do not ask, or not in seconds."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import os
import random
import signal
import socket
import struct
import sys
import threading
import unittest
import warnings

import sluiceio
from sluiceio import aio

SEED = int(os.environ.get("SLUICE_SEED") or random.SystemRandom().randrange(1 << 32))


class Aio(unittest.TestCase):
    def run_it(self, main):
        """To its end, in debug mode and without. What nobody has caught fails."""
        for debug in (False, True):
            with asyncio.Runner(debug=debug, loop_factory=aio.new_event_loop) as runner:
                problems = []
                runner.get_loop().set_exception_handler(lambda _, problem: problems.append(problem))
                runner.get_loop().slow_callback_duration = 60
                runner.run(asyncio.wait_for(main(), 60))
                self.assertEqual(problems, [])

    def test_run(self):
        async def main():
            self.assertIsInstance(asyncio.get_running_loop(), aio.EventLoop)
            return 7

        self.assertEqual(sluiceio.run(main()), 7)

    @unittest.skipIf(sys.version_info >= (3, 14), "there are no policies any more")
    def test_policy(self):
        asyncio.set_event_loop_policy(aio.EventLoopPolicy())
        try:
            loop = asyncio.new_event_loop()
            self.assertIsInstance(loop, aio.EventLoop)
            loop.close()
        finally:
            asyncio.set_event_loop_policy(None)

    def test_every_byte_comes_back_by_streams_and_slow_readers_too(self):
        numbers = random.Random(SEED)

        async def echo(reader, writer):
            while data := await reader.read(numbers.randrange(1, 1 << 17)):
                writer.write(data)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

        async def ask(path, size):
            reader, writer = await asyncio.open_unix_connection(path)
            sent = numbers.randbytes(size)

            async def send():
                start = 0
                while start < size:
                    end = start + numbers.randrange(1, 1 << 18)
                    writer.write(sent[start:end])
                    start = end
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.create_task(send())
            received = bytearray()
            while data := await reader.read(numbers.randrange(1, 1 << 16)):
                received += data
                if numbers.random() < 0.1:
                    await asyncio.sleep(0.001)
            await sending
            self.assertTrue(received == sent, f"SLUICE_SEED={SEED}")
            writer.close()
            await writer.wait_closed()

        async def main():
            path = f"\0sluice-aio-{os.getpid()}"
            async with await asyncio.start_unix_server(echo, path):
                await asyncio.gather(*(ask(path, 1 << numbers.randrange(21)) for _ in range(30)))

        self.run_it(main)

    def test_a_watch_is_told_once_a_turn(self):
        async def main():
            loop = asyncio.get_running_loop()
            ours, theirs = socket.socketpair()
            with ours, theirs:
                calls, turns = [], [0]

                def turn():
                    turns[0] += 1
                    loop.call_soon(turn)

                loop.call_soon(turn)
                loop.add_writer(ours, lambda: calls.append(turns[0]))
                while turns[0] < 20:
                    await asyncio.sleep(0)
                loop.remove_writer(ours)
                self.assertGreater(len(calls), 5)
                self.assertEqual(len(calls), len(set(calls)))

        self.run_it(main)

    def test_what_a_callback_has_read_is_not_told_again(self):
        """While streams are busy, whose events are seen to in between."""

        async def main():
            loop = asyncio.get_running_loop()
            ours, theirs = socket.socketpair()
            with ours, theirs:
                ours.setblocking(False)
                received = []
                loop.add_reader(ours, lambda: received.append(ours.recv(1)))  # or BlockingIOError
                pairs = [socket.socketpair() for _ in range(4)]
                ends = [await asyncio.open_connection(sock=one) for pair in pairs for one in pair]
                for step in range(300):
                    theirs.send(b"x")
                    for _, writer in ends:
                        writer.write(b"y")
                    await asyncio.gather(*(reader.read(1) for reader, _ in ends))
                while len(received) < 300:
                    await asyncio.sleep(0)
                loop.remove_reader(ours)
                for _, writer in ends:
                    writer.close()
                    await writer.wait_closed()

        self.run_it(main)

    def test_a_close_while_paused_sends_what_the_protocol_writes_when_it_resumes(self):
        """As TLS does, which keeps back what it has while it is paused."""

        class Late(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport
                self.lost = asyncio.get_running_loop().create_future()
                self.paused = 0

            def pause_writing(self):
                self.paused += 1

            def resume_writing(self):
                if self.paused == 1:
                    self.transport.write(b"last words")

            def connection_lost(self, error):
                self.lost.set_result(error)

        async def main():
            loop = asyncio.get_running_loop()
            ours, theirs = socket.socketpair()
            transport, protocol = await loop.create_connection(Late, sock=ours)
            transport.write(bytes(100_000))
            while not protocol.paused:
                transport.write(bytes(100_000))
            theirs.setblocking(False)
            reading = asyncio.create_task(self.read_all(theirs))
            transport.close()
            self.assertIsNone(await protocol.lost)
            self.assertTrue((await reading).endswith(b"\0last words"))
            theirs.close()

        self.run_it(main)

    def test_who_writes_on_while_paused_is_resumed_all_the_same(self):
        class Pausing(asyncio.Protocol):
            paused = False

            def pause_writing(self):
                self.paused = True

            def resume_writing(self):
                self.paused = False

        async def main():
            loop = asyncio.get_running_loop()
            ours, theirs = socket.socketpair()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024)
            receiving, _ = await loop.create_connection(asyncio.Protocol, sock=theirs)
            sending, protocol = await loop.create_connection(Pausing, sock=ours)
            sending.set_write_buffer_limits(1024, 1023)
            receiving.pause_reading()
            while not protocol.paused:
                sending.write(bytes(1024))
            receiving.resume_reading()
            while protocol.paused:
                sending.write(b"x")
                await asyncio.sleep(0)
            for transport in (sending, receiving):
                transport.abort()
            await asyncio.sleep(0)

        self.run_it(main)

    def test_a_write_that_fails_is_the_reason_of_the_end(self):
        class Losing(asyncio.Protocol):
            def connection_made(self, transport):
                self.lost = asyncio.get_running_loop().create_future()

            def connection_lost(self, error):
                self.lost.set_result(error)

        async def main():
            ours, theirs = socket.socketpair()
            transport, protocol = await asyncio.get_running_loop().create_connection(
                Losing, sock=ours)
            transport.write(b"x")
            theirs.close()
            transport.write(b"x")
            self.assertIsInstance(await protocol.lost, ConnectionError)

        self.run_it(main)

    def test_what_was_written_before_an_abort_is_read_and_then_an_end(self):
        async def main():
            loop = asyncio.get_running_loop()
            with socket.create_server(("127.0.0.1", 0)) as listener:
                transport, _ = await loop.create_connection(
                    asyncio.Protocol, *listener.getsockname())
                transport.write(b"OK")
                transport.abort()
                self.assertTrue(transport.is_closing())
                theirs, _ = listener.accept()
                theirs.setblocking(False)
                with theirs:
                    self.assertEqual(await self.read_all(theirs), b"OK")

        self.run_it(main)

    def test_an_abort_that_throws_something_away_is_a_reset(self):
        async def main():
            loop = asyncio.get_running_loop()
            with socket.create_server(("127.0.0.1", 0)) as listener:
                transport, _ = await loop.create_connection(
                    asyncio.Protocol, *listener.getsockname())
                theirs, _ = listener.accept()
                theirs.setblocking(False)
                with theirs:
                    while transport.get_write_buffer_size() == 0:
                        transport.write(bytes(1 << 20))
                    transport.abort()
                    with self.assertRaises(ConnectionResetError):
                        await self.read_all(theirs)

        self.run_it(main)

    async def read_all(self, sock):
        received = bytearray()
        while data := await asyncio.get_running_loop().sock_recv(sock, 1 << 16):
            received += data
        return received

    def test_an_exception_of_a_protocol_ends_its_connection_alone(self):
        class Bad(asyncio.Protocol):
            def data_received(self, data):
                raise ZeroDivisionError

        async def main():
            loop = asyncio.get_running_loop()
            problems = []
            loop.set_exception_handler(lambda _, problem: problems.append(problem["exception"]))
            server = await loop.create_server(Bad, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            for _ in range(2):
                reader, writer = await asyncio.open_connection(*address)
                writer.write(b"x")
                with contextlib.suppress(ConnectionResetError):
                    self.assertEqual(await reader.read(), b"")
                writer.close()
            server.close()
            await server.wait_closed()
            self.assertEqual([type(each) for each in problems], [ZeroDivisionError] * 2)

        with asyncio.Runner(loop_factory=aio.new_event_loop) as runner:
            runner.run(main())

    def test_each_connection_has_a_context_of_its_own(self):
        number = contextvars.ContextVar("number", default=0)
        seen = []

        class Counting(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport

            def data_received(self, data):
                number.set(number.get() + len(data))
                self.transport.write(b"%d" % number.get())

            def connection_lost(self, error):
                seen.append(number.get())

        async def main():
            seen.clear()
            server = await asyncio.get_running_loop().create_server(Counting, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            for _ in range(2):
                reader, writer = await asyncio.open_connection(*address)
                for total in (b"1", b"2", b"3"):
                    writer.write(b"x")
                    self.assertEqual(await reader.read(10), total)
                writer.close()
                await writer.wait_closed()
            while len(seen) < 2:
                await asyncio.sleep(0.001)
            server.close()
            await server.wait_closed()
            self.assertEqual((seen, number.get()), ([3, 3], 0))

        self.run_it(main)

    def test_datagrams_subprocesses_threads_and_signals(self):
        async def main():
            loop = asyncio.get_running_loop()
            received = loop.create_future()

            class Receiver(asyncio.DatagramProtocol):
                def datagram_received(self, data, address):
                    received.set_result(data)

            transport, _ = await loop.create_datagram_endpoint(Receiver, ("127.0.0.1", 0))
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                sender.sendto(b"datagram", transport.get_extra_info("sockname"))
            self.assertEqual(await received, b"datagram")
            transport.close()
            child = await asyncio.create_subprocess_exec(
                "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
            output, _ = await child.communicate(b"x" * 200_000)
            self.assertEqual((len(output), child.returncode), (200_000, 0))
            called = asyncio.Event()
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(called.set,))
            thread.start()
            await called.wait()
            thread.join()
            self.assertEqual(await asyncio.to_thread(sum, range(5)), 10)
            got = asyncio.Event()
            loop.add_signal_handler(signal.SIGUSR1, got.set)
            os.kill(os.getpid(), signal.SIGUSR1)
            await got.wait()
            loop.remove_signal_handler(signal.SIGUSR1)

        self.run_it(main)

    def test_a_transport_of_nothing_does_nothing(self):
        transport = aio.SocketTransport()
        transport.write(b"")
        transport.pause_reading()
        transport.resume_reading()
        transport.set_write_buffer_limits(1)
        self.assertEqual(transport.get_write_buffer_size(), 0)
        self.assertIn("SocketTransport", repr(transport))
        transport._end_of_input()
        for high in (1e6, 1 << 70):
            transport.set_write_buffer_limits(high)
            self.assertEqual(transport.get_write_buffer_limits()[1], min(high, sys.maxsize))
        transport.close()
        transport.abort()
        transport._look_again()
        transport._start()
        self.assertTrue(transport.is_closing())

    def test_an_interrupt_ends_a_run(self):
        async def main():
            asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)

        self.assertRaises(KeyboardInterrupt, sluiceio.run, main())

    def test_an_interrupt_in_a_protocol_factory_ends_the_connection_and_the_loop_may_go_on(self):
        def make():
            raise kinds[-1]

        kinds = [SystemExit, KeyboardInterrupt]
        loop = aio.new_event_loop()
        server = loop.run_until_complete(loop.create_server(make, "127.0.0.1", 0))
        while kinds:
            with socket.create_connection(server.sockets[0].getsockname(), timeout=20) as client:
                self.assertRaises(kinds[-1], loop.run_forever)
                loop.run_until_complete(asyncio.sleep(0))
                with contextlib.suppress(ConnectionResetError):
                    self.assertEqual(client.recv(1), b"")
            kinds.pop()
        server.close()
        loop.run_until_complete(server.wait_closed())
        loop.close()

    def test_what_is_left_at_the_end_is_warned_of_and_closed(self):
        async def main(pair):
            await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=pair)

        ours, theirs = socket.socketpair()
        with theirs, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            sluiceio.run(main(ours))
            self.assertEqual(theirs.recv(1), b"")
            self.assertIn("unclosed transport", str(warned[0].message))

    def test_who_writes_without_a_pause_is_told_of_a_reset(self):
        connected, reset = threading.Event(), threading.Event()

        def serve(listener):
            client, _ = listener.accept()
            connected.wait()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            reset.set()

        async def main():
            connected.clear()
            reset.clear()
            with socket.create_server(("127.0.0.1", 0)) as listener:
                thread = threading.Thread(target=serve, args=[listener])
                thread.start()
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                # The loop does not get to see it by an event.
                connected.set()
                reset.wait()
                with self.assertRaises(ConnectionError):
                    for _ in range(10_000):
                        # Offered to the kernel at once.
                        writer.write(bytes(20_000))
                        # Waits only where the transport is closing, or paused.
                        await writer.drain()
                thread.join()
                writer.close()

        self.run_it(main)

    def test_what_a_protocol_calls_outlives_the_call_that_replaces_it(self):
        class First(asyncio.Protocol):
            """With attributes of its own."""

        class Second(asyncio.Protocol):
            def data_received(self, data):
                seen.append(data)

        async def main():
            near, far = socket.socketpair()
            near.setblocking(False)
            with far:

                def replaced(data):
                    transport.set_protocol(Second())

                def make():
                    protocol = First()
                    protocol.data_received = functools.lru_cache(replaced)  # in C, and it has a state
                    return protocol

                transport = (await asyncio.get_running_loop().create_connection(make, sock=near))[0]
                for byte in (b"1", b"2"):
                    far.send(byte)
                    await asyncio.sleep(0.01)
                transport.close()

        seen = []
        self.run_it(main)
        self.assertEqual(seen, [b"2"] * 2)

    def test_bytes_are_told_of_to_the_protocol_whose_buffer_they_are_in(self):
        calls = []

        class Buffered(asyncio.BufferedProtocol):
            def connection_made(self, transport):
                self.transport = transport
                self.buffer = bytearray(3)

            def get_buffer(self, hint):
                self.transport.set_protocol(Next())
                return self.buffer

            def buffer_updated(self, count):
                calls.append(bytes(self.buffer[:count]))

        class Next(asyncio.Protocol):
            def data_received(self, data):
                calls.append(data)

        async def main():
            near, far = socket.socketpair()
            near.setblocking(False)
            with far:
                transport, _ = await asyncio.get_running_loop().create_connection(Buffered, sock=near)
                far.send(b"12345")
                await asyncio.sleep(0.01)
                transport.close()

        self.run_it(main)
        self.assertEqual(calls, [b"123", b"45"] * 2)

    def test_a_call_on_another_thread_is_refused_and_changes_nothing(self):
        async def main():
            loop = asyncio.get_running_loop()
            near, far = socket.socketpair()
            near.setblocking(False)
            with far:
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
                for call in (
                    transport.pause_reading, transport.resume_reading, transport.write_eof,
                    transport.close, transport.abort, transport.set_write_buffer_limits,
                    lambda: transport.write(b"1"),
                ):  # fmt: skip
                    with self.assertRaises(sluiceio.WrongThread):
                        await loop.run_in_executor(None, call)
                self.assertTrue(transport.is_reading())
                self.assertFalse(transport.is_closing())
                transport.write(b"2")
                transport.close()
                far.settimeout(10)
                self.assertEqual(await loop.run_in_executor(None, far.recv, 9), b"2")
                self.assertEqual(await loop.run_in_executor(None, far.recv, 9), b"")

        self.run_it(main)

    def test_a_loop_may_be_run_and_closed_by_another_thread_than_the_one_that_made_it(self):
        async def main():
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, sock=near
            )
            await asyncio.sleep(0)
            return transport

        def on_a_thread(call, *arguments):
            thread = threading.Thread(target=lambda: results.append(call(*arguments)))
            thread.start()
            thread.join()
            return results.pop()

        for debug in (False, True):
            results = []
            near, far = socket.socketpair()
            near.setblocking(False)
            loop = aio.new_event_loop()
            loop.set_debug(debug)
            with far:
                transport = on_a_thread(loop.run_until_complete, main())
                transport.write(b"1")
                on_a_thread(transport.write, b"2")
                transport.close()
                loop.run_until_complete(asyncio.sleep(0))
                self.assertEqual((far.recv(9), far.recv(9)), (b"12", b""))
            self.assertIsNone(on_a_thread(loop.close))
            self.assertTrue(loop.is_closed())

    def test_nothing_is_kept_of_a_connection_that_has_ended(self):
        async def main():
            async def serve(reader, writer):
                writer.write(await reader.read())
                writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()

            async def ask():
                reader, writer = await asyncio.open_connection(*address)
                writer.write_eof()
                self.assertEqual(await reader.read(), b"")
                writer.close()
                await writer.wait_closed()

            await ask()
            descriptors = len(os.listdir("/proc/self/fd"))
            for _ in range(50):
                await ask()
            await asyncio.sleep(0.01)
            self.assertLessEqual(len(os.listdir("/proc/self/fd")), descriptors + 2)
            gc.collect()
            alive = [each for each in gc.get_objects() if isinstance(each, aio.SocketTransport)]
            self.assertLessEqual(len(alive), 2)
            server.close()
            await server.wait_closed()

        self.run_it(main)


if __name__ == "__main__":
    unittest.main()
