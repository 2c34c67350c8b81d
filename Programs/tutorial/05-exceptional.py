"""The third list is not for errors: it is for an urgent byte."""

import select
import socket
import struct


def connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


def look(what, end):
    readable, _, exceptional = select.select([end], [], [end], 0.1)
    print(f"{what}: readable {bool(readable)}, exceptional {bool(exceptional)}")


client, server = connection()
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
client.close()  # by a reset
look("a reset", server)
try:
    server.recv(10)
except ConnectionResetError:
    print("and the read says: ConnectionResetError")

client, server = connection()
client.send(b"!", socket.MSG_OOB)
look("an urgent byte", server)
