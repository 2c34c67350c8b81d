"""sluice-echo serve: it serves, whatever clients do."""

import re
import signal
import socket

from flood import KERNEL_ROOM, Flood
from sockets import PATIENCE, exchange, read_all, read_exactly, reset, unix_address
from storm import CLIENTS, Storm
from support import BACKENDS, ProgramTest, Server, over

HIGH_MARK = 1 << 20


class Serves(ProgramTest):
    @over(backend=BACKENDS)
    def test_survives_a_storm_and_counts_its_bytes(self, backend):
        with Server("sluice-echo", "--backend", backend) as server:
            self.assertEqual(len(server.sockets()), 1)
            storm = Storm(server.address, self.random, urgent="ignored")
            storm.run()
            self.assert_echoes(server, b"x" * 100)
            server.wait_for_rest()
            connections, count, lost, unsent = server.interrupt()
            self.assertEqual(connections, CLIENTS + 1)
            self.assertGreaterEqual(count, storm.received + 100)
            self.assertLessEqual(count + unsent, storm.sent + 100)

    @over(backend=BACKENDS)
    def test_what_follows_an_urgent_byte_is_answered(self, backend):
        with Server("sluice-echo", "--backend", backend) as server, server.connect() as client:
            exchange(client, b"hello")
            server.halt()  # for all of it to come in one turn
            client.sendall(b"before")
            client.send(b"!", socket.MSG_OOB)
            client.sendall(b"after")
            server.send_signal(signal.SIGCONT)
            self.assertEqual(read_exactly(client, 11), b"beforeafter")
            exchange(client, b"as before")

    @over(backend=BACKENDS)
    def test_peers_that_reset_or_vanish_leave_it_serving(self, backend):
        with Server("sluice-echo", "--backend", backend) as server:
            self.assertEqual(len(server.sockets()), 1)
            for number in range(50):
                with server.connect() as client:
                    client.sendall(self.random.randbytes(50_000))
                    if number % 2:
                        reset(client)
            self.assert_echoes(server)
            server.wait_for_rest()

    @over(backend=BACKENDS)
    def test_does_not_read_from_a_client_that_does_not_read(self, backend):
        with Server("sluice-echo", "--backend", backend, address=unix_address()) as server, \
                server.connect() as other, server.connect() as client:
            exchange(other, b"hello")
            memory = server.peak_memory()
            most = HIGH_MARK + KERNEL_ROOM
            flood = Flood(client, other, most)
            self.assertFalse(flood.parted)
            self.assertGreater(flood.sent, HIGH_MARK)
            self.assertLess(flood.sent, most)
            self.assertLess(server.peak_memory() - memory, 16 * HIGH_MARK)
            # Once the client reads, the server reads from it again, and nothing was lost.
            client.settimeout(PATIENCE)
            self.assertTrue(read_exactly(client, flood.sent) == flood.echo())
            exchange(client, b"as before")


class Prints(ProgramTest):
    EVENT = re.compile(r"turn (\d+): (.+)")

    def events(self, server):
        """The turn and the words of each event."""
        first, *lines = server.output().splitlines()
        self.assertTrue(first.startswith(f"listening on {server.address} with "), first)
        return [self.EVENT.fullmatch(line).groups() for line in lines]

    @over(backend=BACKENDS)
    def test_trace_shows_each_event(self, backend):
        with Server("sluice-echo", "--backend", backend, "--trace") as server:
            with server.connect() as client:
                exchange(client, b"hello")
                exchange(client, b"!")
                client.shutdown(socket.SHUT_WR)
                self.assertEqual(read_all(client), b"")
            server.wait_for_rest()
            server.send_signal(signal.SIGINT)
            self.assertEqual(server.wait(), 0)
            *lines, summary = server.output().splitlines()
            self.assertEqual(lines[0], f"listening on {server.address} with {backend}")
            self.assertEqual(summary, "served 1 connection and 6 bytes;"
                                      " 0 connections lost with 0 bytes not sent")
            turns, events = zip(*[self.EVENT.fullmatch(line).groups() for line in lines[1:]])
            [(stream, listener)] = re.findall(r"^accepted (stream \d+) by (listener \d+)$",
                                              events[0])
            self.assertEqual(events[1:-1], (
                f"data of {stream}: 5 bytes", f"data of {stream}: 1 byte", f"end of {stream}",
                f"closed {stream}: in order, 0 bytes unsent"))
            self.assertRegex(events[-1], r"^signal")
            self.assertEqual(sorted(turns, key=int), list(turns))

    @over(backend=BACKENDS)
    def test_trace_shows_when_answers_have_waited_and_wait_no_more(self, backend):
        with Server("sluice-echo", "--backend", backend, "--trace",
                    address=unix_address()) as server, \
                server.connect() as other, server.connect() as client:
            exchange(other, b"hello")
            flood = Flood(client, other, HIGH_MARK + KERNEL_ROOM)
            client.settimeout(PATIENCE)
            read_exactly(client, flood.sent)
            exchange(client, b"as before")
            events = [event for _, event in self.events(server)]
            [slow] = {event.removeprefix("drained ") for event in events
                      if event.startswith("drained ")}
            # What the server does not read while the client is over the high mark, it reads afterwards.
            after = events[events.index(f"drained {slow}"):]
            self.assertTrue(any(event.startswith(f"data of {slow}: ") for event in after))

    @over(backend=BACKENDS)
    def test_quiet_prints_nothing(self, backend):
        with Server("sluice-echo", "--quiet", "--backend", backend,
                    address=unix_address()) as server:
            self.assert_echoes(server)
            with server.connect() as client:
                client.sendall(b"x" * 100_000)
            server.send_signal(signal.SIGINT)
            self.assertEqual(server.wait(), 0)
            self.assertEqual((server.output(), server.errors()), ("", ""))
