"""Python's select refuses a number that an fd_set has no bit for. Its poll does not."""

import fcntl
import resource
import select
import socket

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
client, server = socket.socketpair()
number = fcntl.fcntl(server, fcntl.F_DUPFD_CLOEXEC, 2000)
client.sendall(b"hello")
try:
    select.select([number], [], [])
except ValueError as error:
    print("select:", error)
poll = select.poll()
poll.register(number, select.POLLIN)
print("poll:", poll.poll() == [(number, select.POLLIN)])
