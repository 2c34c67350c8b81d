"""A client sends everything, ends its side, and waits for the answer."""

import socket


def answered(answers_first):
    client, server = socket.socketpair()
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    while server.recv(100):
        pass
    if answers_first:
        server.sendall(b"answer")
    server.close()
    return len(client.recv(100))


print("closed at the end of the input: the client gets", answered(False), "bytes")
print("answered first, then closed: the client gets", answered(True), "bytes")
