"""What is measured: the servers, the loads, and what each figure should be."""

import dataclasses

from .processes import BUILD

PLAIN = "plain epoll"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An echo server. The names of Sluice's servers begin with "Sluice", those by hand with "plain".

    `answers` is true if the server has the word for a load of requests. A server with `few` is measured
    only with the loads that are said to take all servers: it is slow, or costs what a neighbour in the
    list costs. `counted` is true if callgrind can run the server and count its instructions.
    """

    name: str
    words: tuple
    answers: bool = False
    few: bool = False
    counted: bool = True

    @property
    def command(self):
        return [BUILD / self.words[0], *self.words[1:]]

    @property
    def there(self):
        return self.command[0].exists()

    def command_for(self, load):
        return [*self.command, *(["answer"] if load.kind == "answer" else [])]

    def takes(self, load):
        return (load.takes_all or not self.few) and (self.answers or load.kind != "answer")


SERVERS = [
    Candidate(PLAIN, ("peer-epoll",), answers=True),
    Candidate("plain poll", ("peer-poll",), answers=True),
    Candidate("plain select", ("peer-select",), answers=True),
    Candidate("plain io_uring", ("peer-io_uring",), answers=True, counted=False),
    Candidate("Sluice C, epoll", ("echo-c", "epoll"), answers=True),
    Candidate("Sluice C, poll", ("echo-c", "poll"), answers=True),
    Candidate("Sluice C, select", ("echo-c", "select"), answers=True),
    Candidate("Sluice C, libevent", ("echo-c-libevent", "libevent"), answers=True),
    Candidate("Sluice Swift, epoll", ("echo-swift", "epoll"), answers=True),
    Candidate("Sluice Swift, poll", ("echo-swift", "poll"), few=True),
    Candidate("Sluice Swift, select", ("echo-swift", "select"), few=True),
    Candidate("Sluice Swift, tasks", ("echo-async", "epoll")),
    Candidate("Sluice Python, asyncio", ("peer-sluiceio", "sluiceio"), few=True),
    Candidate("libev", ("peer-libev",), answers=True),
    Candidate("libevent event", ("peer-libevent_event",), answers=True),
    Candidate("libuv", ("peer-libuv",), answers=True),
    Candidate("libevent bufferevent", ("peer-libevent_bufferevent",), answers=True),
    Candidate("Asio", ("peer-asio",), answers=True),
    Candidate("Go net", ("peer-go",), answers=True, counted=False),
    Candidate("SwiftNIO handler", ("peer-nio",), answers=True),
    Candidate("SwiftNIO async", ("peer-nio-async",), few=True),
    Candidate("FlyingSocks", ("peer-flyingsocks",), few=True),
    Candidate("Python uvloop", ("peer-uvloop", "uvloop"), few=True),
    Candidate("Python asyncio", ("peer-asyncio", "asyncio"), few=True),
]


@dataclasses.dataclass(frozen=True)
class LoadKind:
    """A load: what an operation is, and how many operations take about an eighth of a second."""

    key: str
    title: str
    kind: str
    connections: int
    operations: int
    size: int = 64
    depth: int = 1
    busy: int = 0  # how many connections are not idle; 0 means all
    operation: str = "echo"
    target: float = 1.03
    takes_all: bool = False


LOADS = [
    LoadKind("echo-1", "Echo, 1 connection", "echo", 1, 4000, target=None),
    LoadKind("echo-64", "Echo, 64 connections", "echo", 64, 20000, takes_all=True),
    LoadKind("echo-1000", "Echo, 1,000 connections", "echo", 1000, 20000, takes_all=True),
    LoadKind("echo-8000", "Echo, 8,000 connections", "echo", 8000, 16000),
    LoadKind(
        "busy", "10,000 idle connections and 100 busy", "echo", 10100, 20000, busy=100, target=None
    ),
    LoadKind(
        "answer",
        "Requests: 64 connections, 64 bytes answered by 1 KiB of the server's own",
        "answer",
        64,
        20000,
        operation="request",
    ),
    LoadKind(
        "pipeline", "Pipeline: 64 connections, 16 echoes at once", "echo", 64, 300000, depth=16
    ),
    LoadKind(
        "stream",
        "Stream: 16 connections, 4 chunks of 64 KiB at once",
        "echo",
        16,
        6000,
        size=65536,
        depth=4,
        operation="chunk",
        target=0.85,
        takes_all=True,
    ),
    LoadKind(
        "chunk",
        "Chunks: 16 connections, 1 chunk of 64 KiB at once",
        "echo",
        16,
        5000,
        size=65536,
        operation="chunk",
        target=None,
    ),
    LoadKind(
        "churn",
        "Churn: connect, echo once, close",
        "churn",
        64,
        4000,
        operation="connection",
        takes_all=True,
    ),
]

# Servers on one loop and on two: the name, the command for one loop, the command for two. A server
# without the last one runs a process for each loop, and the processes share an address.
LOOPED = [
    (PLAIN, ("peer-epoll",), None),
    ("Sluice C, epoll", ("echo-c", "epoll", "shared"), None),
    ("Sluice Swift, tasks", ("echo-async", "epoll"), ("echo-async", "epoll", "inbound", "two")),
    ("Go net", ("peer-go",), ("peer-go",)),
]

# Those whose cost of an event is measured with more descriptors than the others are.
GROWING = [
    "plain epoll",
    "plain poll",
    "Sluice epoll",
    "Sluice poll",
    "Sluice loop",
    "libev",
    "libevent",
    "libuv",
]

# What dispatch-LIBRARY is asked for: name, library, backend.
DISPATCHERS = [
    ("plain epoll", "plain", "epoll"),
    ("plain poll", "plain", "poll"),
    ("plain select", "plain", "select"),
    ("Sluice epoll", "poller", "epoll"),
    ("Sluice poll", "poller", "poll"),
    ("Sluice select", "poller", "select"),
    ("Sluice libevent", "poller-libevent", "libevent"),
    ("Sluice loop", "loop", "epoll"),
    ("libev", "libev", "epoll"),
    ("libevent", "libevent", "epoll"),
    ("libevent poll", "libevent", "poll"),
    ("libuv", "libuv", "epoll"),
]
LIBRARIES = ["Sluice", "libev", "libevent", "libuv"]
