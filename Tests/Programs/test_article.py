"""The article's three servers: Programs/article/{first,queued,complete}-server."""

import re
import signal
import socket
import subprocess

from flood import KERNEL_ROOM, Flood
from sockets import (
    PATIENCE, connect, exchange, listen, read_all, read_exactly, refused_address, reset,
    unix_address, wait_for_parting)
from storm import NO_LIMIT, Storm
from support import BACKENDS, SYSTEM_CALLS, ProgramTest, Server, over, program, run, wait_until

SERVERS = ("article-first-server", "article-queued-server", "article-complete-server")
PROGRAMS = (*SERVERS, "article-client")
QUEUE_LIMIT = 1 << 20


def tells_urgent(server, backend):
    """Whether the server looks for urgent bytes, and sees them: libevent has no event for them."""
    return server == "article-complete-server" and backend in SYSTEM_CALLS


class EveryServer(ProgramTest):
    @over(server=SERVERS, backend=BACKENDS)
    def test_survives_a_storm(self, server, backend):
        with Server(server, "--backend", backend) as running:
            self.assertEqual(len(running.sockets()), 1)
            Storm(
                running.address, self.random,
                urgent="parts" if tells_urgent(server, backend) else None,
                # The first server ends the connection of a client that does not read.
                most_outstanding=(32 << 10) if server == "article-first-server" else NO_LIMIT,
            ).run()
            self.assert_echoes(running)
            running.wait_for_rest()

    @over(server=SERVERS, backend=BACKENDS)
    def test_serves_a_descriptor_number_that_is_reused_at_once(self, server, backend):
        with Server(server, "--backend", backend) as running:
            self.assertEqual(len(running.sockets()), 1)
            for number in range(100):
                with running.connect() as client:
                    exchange(client, b"%d" % number)
                    client.sendall(b"and not read")
                    if number % 2:
                        reset(client)
            running.wait_for_rest()

    @over(server=SERVERS, backend=BACKENDS)
    def test_out_of_descriptors_neither_spins_nor_forgets_those_who_wait(self, server, backend):
        room, more, rounds = 4, 3, 20
        with Server(server, "--backend", backend) as running:
            exchange(self.enterContext(running.connect()), b"the poller is there")
            running.limit_descriptors(room)
            clients = [self.enterContext(running.connect()) for _ in range(room + more)]
            for client in clients:
                client.sendall(b"let me in")
            served, waiting = clients[:room], clients[room:]
            for client in served:
                self.assertEqual(read_exactly(client, 9), b"let me in")
            wait_until(lambda: "not accepted" in running.output(), "it says that it is full")
            for _ in range(rounds):
                exchange(served[0], b"round and round")
            self.assertLess(running.output().count("not accepted"), rounds)
            while waiting:
                served.pop(0).close()
                self.assertEqual(read_exactly(waiting[0], 9), b"let me in")
                served.append(waiting.pop(0))

    @over(server=SERVERS, backend=BACKENDS)
    def test_prints_the_lists_of_each_turn(self, server, backend):
        lists = {
            "article-first-server": {"inputs", "readable"},
            "article-queued-server": {"inputs", "readable", "writable"},
            "article-complete-server": {"inputs", "readable", "writable", "exceptional"},
        }[server]
        with Server(server, "--backend", backend) as running, running.connect() as client:
            exchange(client, b"hello")
            if tells_urgent(server, backend):
                client.send(b"!", socket.MSG_OOB)
                self.assertEqual(wait_for_parting(client), b"")
            found = re.findall(r"^(\w+): \[([\d, ]*)\]$", running.output(), re.MULTILINE)
            self.assertEqual({name for name, _ in found}, lists)
            [listener] = {numbers for name, numbers in found
                          if name == "inputs" and numbers and "," not in numbers}
            [connection] = {numbers for name, numbers in found
                            if name == "readable" and numbers not in ("", listener)}
            self.assertIn(("readable", listener), found)
            self.assertIn(("inputs", f"{listener}, {connection}"), found)
            never_filled = set() if tells_urgent(server, backend) else {"exceptional"}
            for name in lists - {"inputs"} - never_filled:
                self.assertIn((name, connection), found)

    @over(server=SERVERS, backend=BACKENDS)
    def test_answers_a_client_that_has_half_closed(self, server, backend):
        with Server(server, "--backend", backend) as running:
            self.assert_echoes(running, self.random.randbytes(20000))

    @over(server=SERVERS)
    def test_serves_on_when_the_reader_of_its_output_has_gone(self, server):
        command = program(server, "--address", "127.0.0.1:0")
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            self.addCleanup(process.kill)
            address = process.stdout.readline().decode().split()[-1]
            process.stdout.close()
            for _ in range(5):
                with connect(address) as client:
                    exchange(client, b"are you there?")
            self.assertIsNone(process.poll())
            process.kill()


class FirstServer(ProgramTest):
    @over(backend=BACKENDS)
    def test_lets_go_of_a_client_that_does_not_read_and_serves_the_others(self, backend):
        with Server("article-first-server", "--backend", backend,
                    address=unix_address()) as server, \
                server.connect() as other, server.connect() as client:
            exchange(other, b"hello")
            flood = Flood(client, other, most=QUEUE_LIMIT + KERNEL_ROOM)
            self.assertTrue(flood.parted)
            self.assertIn("does not read its answers: [", server.output())
            exchange(other, b"still there")


class QueuedServer(ProgramTest):
    @over(backend=BACKENDS)
    def test_a_client_gets_all_of_4_MiB_that_it_sent_before_it_read_anything(self, backend):
        with Server("article-queued-server", "--backend", backend) as server, \
                server.connect() as client:
            data = self.random.randbytes(4 << 20)
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            self.assertTrue(read_all(client) == data)


class CompleteServer(ProgramTest):
    @over(backend=BACKENDS)
    def test_does_not_read_from_a_client_that_does_not_read(self, backend):
        with Server("article-complete-server", "--backend", backend,
                    address=unix_address()) as server, \
                server.connect() as other, server.connect() as client:
            exchange(other, b"hello")
            memory = server.peak_memory()
            most = QUEUE_LIMIT + KERNEL_ROOM
            flood = Flood(client, other, most)
            self.assertFalse(flood.parted)
            self.assertGreater(flood.sent, QUEUE_LIMIT)
            self.assertLess(flood.sent, most)
            self.assertLess(server.peak_memory() - memory, 16 * QUEUE_LIMIT)
            # Once the client reads, the server reads from it again, and nothing was lost.
            client.settimeout(PATIENCE)
            self.assertTrue(read_exactly(client, flood.sent) == flood.echo())
            exchange(client, b"as before")

    @over(backend=SYSTEM_CALLS)
    def test_sees_the_urgent_byte_of_one_who_gets_the_number_of_one_just_parted_with(self, backend):
        with Server("article-complete-server", "--backend", backend) as server, \
                server.connect() as first:
            exchange(first, b"hello")
            server.send_signal(signal.SIGSTOP)  # for all of this to come in one turn
            first.send(b"data, and an urgent byte")
            first.send(b"!", socket.MSG_OOB)
            with server.connect() as second:
                second.send(b"!", socket.MSG_OOB)
                server.send_signal(signal.SIGCONT)
                wait_for_parting(first)
                self.assertEqual(wait_for_parting(second), b"")

    @over(backend=SYSTEM_CALLS)
    def test_parts_with_a_client_that_sends_an_urgent_byte_and_with_nobody_else(self, backend):
        with Server("article-complete-server", "--backend", backend) as server, \
                server.connect() as other:
            exchange(other, b"hello")
            for _ in range(20):
                with server.connect() as client:
                    exchange(client, b"good day")
                    client.send(b"!", socket.MSG_OOB)
                    self.assertEqual(wait_for_parting(client), b"")
                exchange(other, b"still there")


class BadArguments(ProgramTest):
    @over(name=PROGRAMS)
    def test_an_unknown_backend_is_refused_in_one_line(self, name):
        self.assert_refused(run(name, "--backend", "kqueue"), "kqueue", "epoll")

    @over(name=PROGRAMS)
    def test_a_bad_address_is_refused_in_one_line(self, name):
        for address in ("", "nonsense", "127.0.0.1", "127.0.0.1:65536", "[::1:1", "unix:"):
            with self.subTest(address=address):
                self.assert_refused(run(name, "--address", address), f'"{address}"')

    @over(server=SERVERS, backend=BACKENDS)
    def test_a_port_in_use_is_refused_in_one_line_that_says_what_to_do(self, server, backend):
        listener, address = listen()
        with listener:
            self.assert_refused(
                run(server, "--address", address, "--backend", backend),
                address, "in use", "stop it, or pass another --address")

    @over(backend=BACKENDS)
    def test_a_client_without_a_server_says_in_one_line_to_start_one(self, backend):
        address = refused_address()
        self.assert_refused(run("article-client", "--address", address, "--backend", backend),
                            "refused", "start a server first")
