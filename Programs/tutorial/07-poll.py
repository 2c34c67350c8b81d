"""poll keeps the question and the answer apart, knows no limit, and says more."""

import select
import socket

a, to_a = socket.socketpair()
b, to_b = socket.socketpair()
poll = select.poll()
poll.register(to_a, select.POLLIN)
poll.register(to_b, select.POLLIN)
b.sendall(b"hello")
print("only B is ready:", poll.poll() == [(to_b.fileno(), select.POLLIN)])

number = to_b.fileno()
to_b.close()  # but it stays on the list
rounds = 0
while rounds < 1000:
    [(_, flags)] = poll.poll()
    rounds += 1
print("closed, and still on the list: reported", rounds, "times:", flags == select.POLLNVAL)
poll.unregister(number)
print("taken off the list:", poll.poll(50))
