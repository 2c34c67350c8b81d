"""Sockets of ours: clients, and servers for the clients that are tested."""

import itertools
import os
import socket
import struct

PATIENCE = 10  # after so many seconds, something that has not happened is a failure

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
    """An address where nobody listens."""
    listener, address = listen()
    listener.close()
    return address


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


def reset(client):
    """Closes with an RST instead of a FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
