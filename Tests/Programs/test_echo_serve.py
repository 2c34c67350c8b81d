"""sluice-echo serve: that it serves, whatever clients do."""

import re
import select
import signal
import socket
import subprocess

from flood import KERNEL_ROOM, Flood
from sockets import PATIENCE, exchange, read_exactly, reset, unix_address
from storm import CLIENTS, Storm
from support import BACKENDS, ProgramTest, Server, over, wait_until

HIGH_MARK = 1 << 20
ROUNDS = 200


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
            # Once it reads, it is read from again, and nothing was lost.
            client.settimeout(PATIENCE)
            self.assertTrue(read_exactly(client, flood.sent) == flood.echo())
            exchange(client, b"as before")

    @over(backend=BACKENDS)
    def test_serves_on_when_the_reader_of_its_output_has_gone(self, backend):
        with Server("sluice-echo", "--backend", backend, "--trace", address=unix_address(),
                    stdout=subprocess.PIPE) as server:
            server.process.stdout.close()
            for _ in range(5):
                self.assert_echoes(server)


class OutOfDescriptors(ProgramTest):
    """There is room for so many clients, and more come."""

    ROOM = 3
    MORE = 5

    def last_turn(self, server):
        return int(re.findall(r"^turn (\d+):", server.output(), re.MULTILINE)[-1])

    @over(backend=BACKENDS)
    def test_it_neither_spins_nor_forgets_those_who_wait(self, backend):
        with Server("sluice-echo", "--backend", backend, "--trace") as server:
            self.assertEqual(len(server.sockets()), 1)
            server.limit_descriptors(self.ROOM)
            clients = [self.enterContext(server.connect()) for _ in range(self.ROOM + self.MORE)]
            for client in clients:
                client.sendall(b"let me in")
            served, waiting = clients[:self.ROOM], clients[self.ROOM:]
            for client in served:
                self.assertEqual(read_exactly(client, 9), b"let me in")
            wait_until(lambda: "accepting goes on" in server.errors(), "it says that it is full")

            turns = self.last_turn(server)
            for _ in range(ROUNDS):
                exchange(served[0], b"round and round")
            self.assertLessEqual(self.last_turn(server) - turns, 3 * ROUNDS)
            self.assertLess(server.cpu_share(), 0.3)
            self.assertEqual(select.select(waiting, [], [], 0)[0], [])

            while waiting:
                served.pop(0).close()
                self.assertEqual(read_exactly(waiting[0], 9), b"let me in")
                served.append(waiting.pop(0))
            for client in served:
                client.close()
            self.assert_echoes(server)
            server.wait_for_rest()
            self.assertEqual(server.interrupt()[0], self.ROOM + self.MORE + 1)


class Prints(ProgramTest):
    TURN = re.compile(
        r"turn \d+: inputs (\[[\d, ]*\]) outputs (\[[\d, ]*\]) readable (\[[\d, ]*\])"
        r" writable (\[[\d, ]*\]) exceptional (\[[\d, ]*\])")

    @over(backend=BACKENDS)
    def test_trace_shows_the_lists_of_each_turn(self, backend):
        with Server("sluice-echo", "--backend", backend, "--trace") as server, \
                server.connect() as client:
            exchange(client, b"hello")
            listener, connection = server.sockets()
            client.send(b"!", socket.MSG_OOB)
            exchange(client, b"hello again")
            first, *turns = server.output().splitlines()
            self.assertEqual(first, f"listening on {server.address} with {backend}")
            lists = [self.TURN.fullmatch(line).groups() for line in turns]
            self.assertIn((f"[{listener}]", "[]", f"[{listener}]", "[]", "[]"), lists)
            self.assertIn(
                (f"[{listener}, {connection}]", "[]", f"[{connection}]", "[]", "[]"), lists)
            self.assertIn(f"[{connection}]", [exceptional for *_, exceptional in lists])

    @over(backend=BACKENDS)
    def test_trace_shows_outputs_and_writable_while_answers_wait(self, backend):
        with Server("sluice-echo", "--backend", backend, "--trace",
                    address=unix_address()) as server, \
                server.connect() as other, server.connect() as client:
            exchange(other, b"hello")
            flood = Flood(client, other, HIGH_MARK + KERNEL_ROOM)
            client.settimeout(PATIENCE)
            read_exactly(client, flood.sent)
            exchange(client, b"as before")
            lists = [match.groups() for match in self.TURN.finditer(server.output())]
            [waits] = {outputs for _, outputs, *_ in lists} - {"[]"}
            self.assertIn(waits, [writable for *_, writable, _ in lists])
            # Over the high mark it is an output and no input.
            number = waits.strip("[]")
            self.assertTrue(any(waits == outputs and number not in re.findall(r"\d+", inputs)
                                for inputs, outputs, *_ in lists))

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
