"""Ctrl-C that comes just when an answer goes out ends a pull: it is not forgotten until the next event."""

import asyncio
import contextlib
import subprocess
import sys
import unittest

import sluiceio

ROUNDS = 30
# Between Python's last look at its signals and the system call that waits are a few instructions. That is
# so with asyncio's own loops as well.
MAY_BE_LATE = 1


# A process of its own: a thread of this one would get the interpreter's lock, and interrupt, just when the
# wait is about to begin. It asks again where the interrupt did nothing, and says so by its exit code.
PEER = """
import os, select, signal, socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as peer:
    peer.sendall(b"ask")
    peer.recv(100)
    os.kill(os.getppid(), signal.SIGINT)
    if not select.select([sys.stdin], [], [], 5)[0]:
        peer.sendall(b"again")
        sys.exit(1)
"""


class InterruptTest(unittest.TestCase):
    def late(self, serve):
        count = 0
        for _ in range(ROUNDS):
            peers = []

            def start(host, port, peers=peers):
                peers.append(subprocess.Popen(
                    [sys.executable, "-c", PEER, host, str(port)], stdin=subprocess.PIPE))

            with self.assertRaises(KeyboardInterrupt):
                serve(start)
            peers[0].stdin.close()
            count += peers[0].wait(30)
        return count

    def test_a_loop(self):
        def serve(start):
            with sluiceio.Loop() as loop:
                listener = loop.listen("127.0.0.1:0")
                host, port = loop.local_address(listener).rsplit(":", 1)
                start(host, port)
                for event in loop:
                    if event.kind == sluiceio.DATA:
                        loop.write(event.id, event.data)

        self.assertLessEqual(self.late(serve), MAY_BE_LATE)

    def test_an_event_loop(self):
        async def echo(reader, writer):
            with contextlib.suppress(asyncio.CancelledError):
                while data := await reader.read(100):
                    writer.write(data)
            writer.close()

        async def main(start):
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            async with server:
                start(*server.sockets[0].getsockname())
                await asyncio.Event().wait()

        self.assertLessEqual(self.late(lambda start: sluiceio.run(main(start))), MAY_BE_LATE)


if __name__ == "__main__":
    unittest.main()
