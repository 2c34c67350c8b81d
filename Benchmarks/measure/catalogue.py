"""What is measured: the servers, the loads, and what each figure is to be."""

import dataclasses

from .processes import BUILD

PLAIN = "plain epoll"


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An echo server. The names of Sluice's begin with it, those by hand with "plain"."""

    name: str
    words: tuple

    @property
    def command(self):
        return [BUILD / self.words[0], *self.words[1:]]

    @property
    def there(self):
        return self.command[0].exists()


SERVERS = [
    Candidate(PLAIN, ("peer-epoll",)),
    Candidate("plain poll", ("peer-poll",)),
    Candidate("plain select", ("peer-select",)),
    Candidate("Sluice C, epoll", ("echo-c", "epoll")),
    Candidate("Sluice C, poll", ("echo-c", "poll")),
    Candidate("Sluice C, select", ("echo-c", "select")),
    Candidate("Sluice C, libevent", ("echo-c-libevent", "libevent")),
    Candidate("Sluice Swift, epoll", ("echo-swift", "epoll")),
    Candidate("Sluice Swift, poll", ("echo-swift", "poll")),
    Candidate("Sluice Swift, select", ("echo-swift", "select")),
    Candidate("libev", ("peer-libev",)),
    Candidate("libevent event", ("peer-libevent_event",)),
    Candidate("libuv", ("peer-libuv",)),
    Candidate("libevent bufferevent", ("peer-libevent_bufferevent",)),
    Candidate("SwiftNIO handler", ("peer-nio",)),
]


@dataclasses.dataclass(frozen=True)
class LoadKind:
    """A load: what an operation is, and how many of them take about an eighth of a second."""

    key: str
    title: str
    kind: str
    connections: int
    operations: int
    size: int = 64
    depth: int = 1
    operation: str = "echo"
    target: float = 1.03


LOADS = [
    LoadKind("echo-1", "Echo, 1 connection", "echo", 1, 4000, target=None),
    LoadKind("echo-64", "Echo, 64 connections", "echo", 64, 20000),
    LoadKind("echo-1000", "Echo, 1,000 connections", "echo", 1000, 20000),
    LoadKind("echo-8000", "Echo, 8,000 connections", "echo", 8000, 16000),
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
        "churn", "Churn: connect, echo once, close", "churn", 64, 4000, operation="connection"
    ),
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
