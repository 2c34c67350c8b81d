"""Ctrl-C that comes just when an answer goes out ends a pull: it is not forgotten until the next event.

A library that is loaded before libc has each send(2) of an answer raise SIGINT before it returns. Between Python's
last look at its signals and the system call that waits, a few instructions are left, as with asyncio's own loops:
of those nothing is asked here.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

INTERRUPTING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

static void interrupt(const void *bytes, size_t length) {
    if (length == 3 && memcmp(bytes, "ask", 3) == 0)
        raise(SIGINT);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    ssize_t (*real)(int, const void *, size_t, int) =
        (ssize_t (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
    ssize_t sent = real(fd, bytes, length, flags);
    interrupt(bytes, length);
    return sent;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    ssize_t (*real)(int, const struct msghdr *, int) =
        (ssize_t (*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
    ssize_t sent = real(fd, message, flags);
    if (message->msg_iovlen == 1)
        interrupt(message->msg_iov->iov_base, message->msg_iov->iov_len);
    return sent;
}
"""

LOOP = """
import sluiceio
with sluiceio.Loop() as loop:
    listener = loop.listen("127.0.0.1:0")
    print(loop.local_address(listener).rsplit(":", 1)[1], flush=True)
    for event in loop:
        if event.kind == sluiceio.DATA:
            loop.write(event.id, event.data)
"""

EVENT_LOOP = """
import asyncio, contextlib, sluiceio

async def answer(reader, writer):
    with contextlib.closing(writer), contextlib.suppress(asyncio.CancelledError):
        while data := await reader.read(100):
            writer.write(data)

async def main():
    with contextlib.closing(await asyncio.start_server(answer, "127.0.0.1", 0)) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()

sluiceio.run(main())
"""


@unittest.skipUnless(shutil.which("cc"), "there is no C compiler")
class InterruptTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.library = folder / "interrupting.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-xc", "-", "-o", cls.library, "-ldl"],
                       input=INTERRUPTING, text=True, check=True)

    def ends_by_an_interrupt(self, program):
        preload = f"{os.environ.get('LD_PRELOAD', '')} {self.library}".strip()
        with subprocess.Popen([sys.executable, "-c", program], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=os.environ | {"LD_PRELOAD": preload}) as server:
            self.addCleanup(server.kill)
            address = ("127.0.0.1", int(server.stdout.readline()))
            with socket.create_connection(address, timeout=20) as client:
                client.sendall(b"ask")
                self.assertEqual(client.recv(100), b"ask")
                try:  # the client stays, and says nothing that could wake the server
                    code = server.wait(10)
                except subprocess.TimeoutExpired:
                    server.kill()
                    self.fail("the interrupt is forgotten")
            self.assertIn("KeyboardInterrupt", server.stderr.read())
            self.assertEqual(code, -signal.SIGINT)

    def test_a_loop(self):
        self.ends_by_an_interrupt(LOOP)

    def test_an_event_loop(self):
        self.ends_by_an_interrupt(EVENT_LOOP)


if __name__ == "__main__":
    unittest.main()
