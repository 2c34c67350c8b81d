"""The loop: the calls that are not hot, and those with options. See _core.pyi for the rest."""

import dataclasses
import errno
import signal
from typing import Any, TypedDict, Unpack

from . import _core
from ._closing import Closing
from ._values import Error, Family, HandleKind, Kind, code_of

Address = str | tuple[str, int] | tuple[str, int, int, int]
"""127.0.0.1:9999, [::1]:9999, example.com:443, *:9999, unix:/run/echo.sock, unix:@abstract; or as
`socket` has it: a host and a port, and for IPv6 a scope."""


class LoopOptions(TypedDict, total=False):
    """The options of a loop. After the semicolon is the default, which None stands for, too.

    backend: epoll, poll or select; the best there is.
    receive_size: bytes that one receive brings at most; 64 KiB.
    high_mark: queued bytes over which a writer should wait for DRAINED; 1 MiB.
    low_mark: queued bytes at which DRAINED comes; a quarter of the high mark.
    hard_limit: queued bytes that a write may not go over; 64 MiB.
    memory_limit: bytes of all that is queued and held; none.
    post_limit: posts that wait to be pulled; 1,048,576.
    handle_limit: handles of each kind; 16,777,216.
    """

    backend: str | None
    receive_size: int | None
    high_mark: int | None
    low_mark: int | None
    hard_limit: int | None
    memory_limit: int | None
    post_limit: int | None
    handle_limit: int | None


class StreamOptions(TypedDict, total=False):
    """How a stream behaves. After the semicolon is the default, which None stands for, too. Times are
    seconds.

    half_open: the stream stays open when the peer has ended; no.
    delay: leaves Nagle's algorithm on; no.
    keepalive: makes the kernel probe a silent peer; no.
    keepalive_after: silent seconds before the first probe; the system's.
    throttled: the stream is not read from while it is over its high mark; yes for accepted streams.
    idle_timeout: the stream ends after this long without a byte; never.
    linger: how long a close may take after the last progress; 10.
    high_mark: as the loop's, for these streams.
    low_mark: the same.
    """

    half_open: bool | None
    delay: bool | None
    keepalive: bool | None
    keepalive_after: float | None
    throttled: bool | None
    idle_timeout: float | None
    linger: float | None
    high_mark: int | None
    low_mark: int | None


class ConnectOptions(StreamOptions, total=False):
    """The options of a stream (StreamOptions), and of its connect.

    connect_timeout: the stream ends with ETIMEDOUT if it is not connected after this long; never.
    source: the address that it connects from, numeric or unix:@name.
    """

    connect_timeout: float | None
    source: str | None


class ListenOptions(StreamOptions, total=False):
    """The options of a listener, and of its streams (StreamOptions).

    reuse_port: several loops accept at one address; no.
    only_ipv6: takes no IPv4 callers; no.
    backlog: connections that wait to be accepted; 1,024.
    accept_batch: connections accepted in one turn; 64.
    connection_limit: connections that are open at once; none.
    unix_mode: who may connect at a unix path, such as 0o600.
    """

    reuse_port: bool | None
    only_ipv6: bool | None
    backlog: int | None
    accept_batch: int | None
    connection_limit: int | None
    unix_mode: int | None


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Counted since the loop was opened, except where it says "now".

    turns: waits.
    events: events that were pulled, by kind.
    handles: handles that there are now, by kind.
    bytes_received, bytes_sent: of all streams.
    receives, sends: system calls.
    accepts: connections that were accepted.
    queue_memory: bytes of what is queued, held and kept, now.
    longest_gap: the longest time from one wait to the next, in seconds.
    """

    turns: int
    events: dict[Kind, int]
    handles: dict[HandleKind, int]
    bytes_received: int
    bytes_sent: int
    receives: int
    sends: int
    accepts: int
    queue_memory: int
    longest_gap: float


def text_of(address: Address) -> str:
    """An address as the core takes it."""
    if not isinstance(address, tuple):
        return address
    host, port, *rest = address
    if ":" not in host:
        return f"{host or '*'}:{port:d}"
    scope = f"%{rest[1]}" if len(rest) == 2 and rest[1] and "%" not in host else ""
    return f"[{host}{scope}]:{port:d}"


class Loop(Closing, _core.Loop):
    """A loop looks after watches, timers, signals, listeners, streams and names to look up. Each has an
    id. The program pulls the events:

        with sluiceio.Loop() as loop:
            loop.listen("127.0.0.1:9999")
            for event in loop:
                if event.kind is sluiceio.DATA:
                    loop.write(event.id, event.data)

    A loop belongs to the thread that opened it. Only `post` and `wake` may be called from another. A
    call that fails raises an OSError with the kernel's errno, or an `Error` of Sluice's own. What
    happens to a connection is never raised by a call: its CLOSED says it. Times are seconds.
    """

    def __init__(
        self, *, batch: int = 64, views: bool = False, **options: Unpack[LoopOptions]
    ) -> None:
        """Opens a loop. `batch` is how many events one pull brings at most. With `views`, an event's
        data is a read-only memoryview of the loop's own buffer, which is released at the next pull."""
        self._open(dict(options), batch, views)

    def __repr__(self) -> str:
        return f"<sluiceio.Loop {'closed' if self.closed else hex(id(self))}>"

    def close(self, handle: int | None = None) -> None:
        """Ends a handle, unless it has ended. A stream first sends what is queued, and its CLOSED tells
        when it has ended. Without a handle: ends all handles, without an event, and the loop."""
        if handle is None:
            self._close()
        else:
            self._close_handle(handle)

    def abort(self, handle: int, reason: OSError | type[Error] | int | None = None) -> None:
        """Ends a handle at once, unless it has ended. If there is a `reason`, it is the error of a
        stream's CLOSED: an errno, or an OSError such as Full() or another stream's error."""
        self._abort(handle, code_of(errno.ECONNABORTED if reason is None else reason))

    def signal(self, number: int | signal.Signals) -> int:
        """Reports SIGNAL. The signal is blocked in this thread as long as the handle lives."""
        return self._signal(int(number))

    def listen(self, address: Address, **options: Unpack[ListenOptions]) -> int:
        """Accepts connections at an address. A name, such as localhost:9999, is looked up first, which
        may block for seconds."""
        return self._listen(text_of(address), dict(options))

    def listen_fd(self, fd: int, **options: Unpack[ListenOptions]) -> int:
        """Makes a listener of a socket that listens already. The loop owns it from then on: give it
        what detach() returns. If this raises, the socket stays the caller's."""
        return self._listen(fd, dict(options))

    def connect(self, address: Address, **options: Unpack[ConnectOptions]) -> int:
        """Makes a stream to an address. CONNECTED comes, or CLOSED with an error."""
        return self._connect(text_of(address), dict(options))

    def adopt(self, fd: int, **options: Unpack[StreamOptions]) -> int:
        """Makes a stream of a connected descriptor. The loop owns it from then on: give it what a
        socket's detach() returns. If this raises, the descriptor stays the caller's."""
        return self._adopt(fd, dict(options))

    def resolve(self, name: Address, family: Family = Family.ANY) -> int:
        """Looks up a name, such as example.com:443: RESOLVED brings its addresses, or the error."""
        return self._resolve(text_of(name), family)

    def send_file(self, stream: int, file: Any, offset: int, length: int) -> int | None:
        """Makes the kernel send bytes of a file, after all that was written. `file` is a number, or has
        a fileno(). Returns how many bytes went. If they are fewer than `length`, DRAINED says when to
        go on with the rest. None for a stream that is gone. An OSError is about the file, such as
        ENODATA if it ends before `offset`. Then the stream goes on."""
        return self._send_file(stream, file, offset, length)

    def hold(self, stream: int, length: int) -> bool:
        """Makes the last `length` bytes of the stream's DATA come again, joined with what follows. If
        they go over a limit, the stream ends, as with `write`. False for a stream that is gone."""
        return self._hold(stream, length)

    def hold_until(self, stream: int, length: int, total: int) -> bool:
        """As `hold`, and no DATA comes before `total` bytes are there, counting those that are held, or
        the stream ends."""
        return self._hold(stream, length, total)

    def forward(self, stream: int, to: int) -> bool:
        """A proxy: writes what `stream` receives to the stream `to`. 0 for `to` ends that."""
        return self._forward(stream, to)

    def kind_of(self, handle: int) -> HandleKind:
        """What a handle is."""
        return HandleKind(self._kind_of(handle))

    def stats(self) -> Statistics:
        """What the loop has counted."""
        told = self._stats()
        told["events"] = {kind: told["events"][kind] for kind in Kind}
        told["handles"] = {kind: told["handles"][kind] for kind in HandleKind}
        return Statistics(**told)

    # Framing. These return lists, so that a `for` over one can be left early, or by an exception, and
    # nothing changes.

    def lines(self, event: _core.Event, limit: int = 65536) -> list[bytes]:
        """The complete lines of a DATA event, each without its newline. The rest is held, and comes
        again. A line of more than `limit` bytes ends the stream: the error of its CLOSED is EMSGSIZE.
        The last line of a stream needs no newline."""
        data = bytes(event.data)
        *lines, rest = data.split(b"\n")
        for index, line in enumerate(lines):
            if len(line) > limit:
                self.abort(event.id, OSError(errno.EMSGSIZE, ""))
                return lines[:index]
        if len(rest) > limit:
            self.abort(event.id, OSError(errno.EMSGSIZE, ""))
        elif not event.is_last:
            self.hold(event.id, len(rest))
        elif rest:
            lines.append(rest)
        return lines

    def frames(self, event: _core.Event, header: int = 4, limit: int = 65536) -> list[bytes]:
        """The complete messages of a DATA event. In front of each is its length, in `header` bytes, the
        highest first. The rest is held, and comes again when its message is complete. A message of more
        than `limit` bytes ends the stream: the error of its CLOSED is EMSGSIZE."""
        data = bytes(event.data)
        frames: list[bytes] = []
        start = 0
        while len(data) - start >= header:
            length = int.from_bytes(data[start : start + header])
            if length > limit:
                self.abort(event.id, OSError(errno.EMSGSIZE, ""))
                return frames
            end = start + header + length
            if end > len(data):
                self.hold_until(event.id, len(data) - start, header + length)
                return frames
            frames.append(data[start + header : end])
            start = end
        self.hold(event.id, len(data) - start)
        return frames
