"""Sockets of ours: clients, and servers for the clients that are tested."""

import atexit
import fcntl
import itertools
import os
import re
import socket
import struct
import termios
from pathlib import Path

# After so many seconds, something that has not happened is a failure. Only a test that fails waits for so
# long. On a busy machine a program may wait for seconds until it gets a processor, and TCP sends a lost SYN
# again after 1, 3, 7 and 15 seconds.
PATIENCE = 30

numbers = itertools.count()


def socket_address(text):
    """Turns an address in the programs' form into Python's family and address."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        return socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path
    host, _, port = text.rpartition(":")
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port))
    return socket.AF_INET, (host, int(port))


def connect(text):
    family, address = socket_address(text)
    client = socket.socket(family)
    client.settimeout(PATIENCE)
    try:
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def listen():
    """A listening socket of ours, and its address as text."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    return listener, "127.0.0.1:%d" % listener.getsockname()[1]


def accept(listener):
    connection, _ = listener.accept()
    connection.settimeout(PATIENCE)
    return connection


def unix_address():
    """An abstract name that nobody else has."""
    return f"unix:@sluice-test-{os.getpid()}-{next(numbers)}"


def refused_address():
    """An address where nobody listens. A socket stays bound there, so that nobody else gets the port. A program
    of the test can still listen there if it sets SO_REUSEADDR."""
    bound = socket.socket()
    atexit.register(bound.close)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return "127.0.0.1:%d" % bound.getsockname()[1]


def read_exactly(client, count):
    data = bytearray()
    while len(data) < count and (piece := client.recv(count - len(data))):
        data += piece
    return bytes(data)


def read_all(client):
    data = bytearray()
    while piece := client.recv(1 << 16):
        data += piece
    return bytes(data)


def exchange(client, data):
    """Sends a few bytes, and waits until they are back."""
    client.sendall(data)
    back = read_exactly(client, len(data))
    if back != data:
        raise AssertionError(f"sent {data!r}, and {back!r} came back")


def wait_for_parting(client):
    """Waits until the other side has gone. If it has left bytes of ours unread, there is an RST."""
    try:
        return read_all(client)
    except ConnectionResetError:
        return b""


def has_been_read(connection):
    """Whether the peer, a process of this machine, has read all that was sent over this TCP connection. Then
    the kernel has nothing left to send, and nothing that waits to be read."""
    unsent = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
    return unsent == 0 and unread(connection.getpeername()[1], connection.getsockname()[1]) == 0


def unread(port, peer=None):
    """How many bytes wait to be read on the TCP connections of a local port, or on the one to `peer`'s port.
    See proc_pid_net(5)."""
    rows = re.findall(r"^ *\d+: \w+:(\w+) \w+:(\w+) (\w+) \w+:(\w+)", Path("/proc/net/tcp").read_text(),
                      re.MULTILINE)
    return sum(int(received, 16) for own, other, state, received in rows
               if int(own, 16) == port and peer in (None, int(other, 16)) and state != LISTENING)


LISTENING = "0A"  # in this state the number counts connections that wait for accept


def reset(client):
    """Closes with an RST instead of a FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
