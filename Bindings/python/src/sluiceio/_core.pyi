# What is in C: its types, and its docstrings. setup.py puts these docstrings into the extension, so that
# help() has them. They are written only here.

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from typing import Any, Self, TypeVarTuple, Unpack

from typing_extensions import Buffer

from ._values import Interest, Kind, Written

_Arguments = TypeVarTuple("_Arguments")

class _HasFileno:
    def fileno(self) -> int: ...

def _setup(
    error_of: Callable[[int, str | None], OSError],
    kinds: Sequence[Kind | None],
    written: Sequence[Written],
    ready: type[Interest],
) -> None: ...
def backends() -> list[str]:
    """The names of the backends that a loop or a poller can have here, the best first."""

def error_errno(code: int, /) -> int: ...
def address_problem(address: str, /) -> str:
    """What is wrong with an address, in words. Empty if nothing is wrong."""

def fileno(file: Any, /) -> int: ...

class Event:
    """What a pull brings. `kind` says which of the other attributes have a meaning."""

    @property
    def kind(self) -> Kind:
        """What has happened: READY, DATA, CLOSED, ..."""
    @property
    def id(self) -> int:
        """Whose event it is: the handle's id. 0 for POSTED."""
    @property
    def data(self) -> Any:
        """DATA: bytes, or a memoryview if the loop has views. RESOLVED: a list of addresses. Otherwise
        None."""
    @property
    def error(self) -> OSError | None:
        """CLOSED, OVERLOADED, RESOLVED: why; None for an orderly end."""
    @property
    def user(self) -> Any:
        """What `set_user` has attached to the handle."""
    @property
    def length(self) -> int:
        """DATA: the length of the data. CLOSED: how many queued bytes were not sent."""
    @property
    def value(self) -> int:
        """SIGNAL: its number. POSTED: the word. ACCEPTED: the listener's id. READY: the flags."""
    @property
    def flags(self) -> Interest:
        """READY: what the descriptor is ready for."""
    @property
    def seen(self) -> int:
        """DATA: how many of the first bytes were in an event before, and were held."""
    @property
    def input_ended(self) -> bool:
        """CLOSED: whether the peer had ended its input before. Then all that it wanted to send has
        come."""
    @property
    def is_last(self) -> bool:
        """DATA: whether the bytes were held when the input ended, and nothing follows them."""

class Loop:
    """The part of sluiceio.Loop that is in C."""

    def _open(self, options: dict[str, Any], batch: int, views: bool, /) -> None: ...
    def _close(self) -> None: ...
    def _close_handle(self, handle: int, /) -> None: ...
    def _abort(self, handle: int, code: int, /) -> None: ...
    def _listen(self, at: str | int, options: dict[str, Any], /) -> int: ...
    def _connect(self, address: str, options: dict[str, Any], /) -> int: ...
    def _adopt(self, fd: int, options: dict[str, Any], /) -> int: ...
    def _resolve(self, name: str, family: int, /) -> int: ...
    def _forward(self, stream: int, to: int, /) -> bool: ...
    def _send_file(self, stream: int, file: Any, offset: int, length: int, /) -> int | None: ...
    def _stats(self) -> dict[str, Any]: ...
    def _hold(self, stream: int, length: int, total: int = 0, /) -> bool: ...
    def _signal(self, number: int, /) -> int: ...
    def _kind_of(self, handle: int, /) -> int: ...
    @property
    def closed(self) -> bool:
        """Whether the loop has been closed."""
    def __iter__(self) -> Self:
        """All events to come. If a `for` is left early, the next one brings the events that are left."""
    def __next__(self) -> Event:
        """The next event, however long it takes."""
    def pull(self, timeout: float | None = None, /) -> list[Event]:
        """Waits for an event, and returns all that are there. Empty when the time is up, or after a
        wake."""
    def next(self, timeout: float | None = None, /) -> Event | None:
        """The next event; None when the time is up, or after a wake."""
    def write(self, stream: int, data: Buffer, /) -> Written:
        """Queues bytes, all or none. They are sent with all others at the next pull.

        If they would go over the stream's hard limit, or the loop's memory limit, the answer is FULL and
        the stream ends. FULL is also the error of its CLOSED. You need not look at the result.
        """
    def try_write(self, stream: int, data: Buffer, /) -> Written:
        """As `write`, except that after FULL the stream goes on as it was."""
    def flush(self, stream: int, /) -> bool:
        """Sends now what is queued. False for a stream that is gone."""
    def pause(self, stream: int, /) -> bool:
        """Stops DATA and EOF of a stream, until `resume`. False for a stream that is gone."""
    def resume(self, stream: int, /) -> bool:
        """Lets DATA and EOF of a stream come again. False for a stream that is gone."""
    def shutdown(self, handle: int, /) -> bool:
        """Half-close: sends what is queued, then tells the peer that no more comes.

        False for a stream that is gone. A listener lets no more callers in, and ends with a CLOSED.
        """
    def pending(self, stream: int, /) -> int:
        """How many bytes are queued to be sent."""
    def fileno_of(self, handle: int, /) -> int:
        """The descriptor of a watch, listener or stream. Its owner stays the same: do not close it."""
    def local_address(self, handle: int, /) -> str:
        """This end's address, as text."""
    def peer_address(self, handle: int, /) -> str:
        """The other end's address, as text."""
    def user(self, handle: int, /) -> Any:
        """What is attached to a handle."""
    def set_user(self, handle: int, user: Any, /) -> None:
        """Attaches an object to a handle, whose events have it as `user`. A new connection has its
        listener's."""
    def watch(self, fd: int | _HasFileno, interest: int, /) -> int:
        """Reports READY for a descriptor, which stays the caller's."""
    def rewatch(self, watch: int, interest: int, /) -> None:
        """Makes a watch wait for something else."""
    def timer(self, first: float | None, repeat: float = 0, /) -> int:
        """Reports TIMER after `first` seconds and, unless `repeat` is 0, every `repeat` seconds after
        that."""
    def timer_reset(self, timer: int, first: float | None, /) -> None:
        """Starts a timer again: the next TIMER comes after `first` seconds."""
    def post(self, value: int, /) -> None:
        """Makes `value`, of 64 bits, come as POSTED. Any thread may call it, and a signal handler."""
    def wake(self) -> None:
        """Ends the pull that is under way, or else the next one. Any thread may call it, and a signal
        handler."""
    def take_over(self) -> None:
        """Makes the calling thread the loop's. The thread that had it must not use it any more."""
    def now(self) -> float:
        """time.monotonic() as of the last wait; timers count from it."""
    def update_now(self) -> float:
        """Reads the clock again, for a timer that should count from this moment."""
    def backend_fd(self) -> int:
        """A descriptor that is readable when there is something to pull, to embed the loop in another."""
    def until_next(self) -> float | None:
        """The seconds after which there may be something to pull, too. None for never."""

class Poller:
    """A set of descriptors to wait for."""

    def _open(self, backend: str | None, /) -> None: ...
    @property
    def closed(self) -> bool:
        """Whether the poller has been closed."""
    def close(self) -> None:
        """Ends the poller. The descriptors stay open."""
    def add(self, fd: int | _HasFileno, interest: int, /) -> None:
        """Makes `wait` report a descriptor. FileExistsError if it does already."""
    def modify(self, fd: int | _HasFileno, interest: int, /) -> None:
        """Changes what `wait` reports for a descriptor. FileNotFoundError if it was not added."""
    def remove(self, fd: int | _HasFileno, /) -> None:
        """Makes `wait` report a descriptor no more."""
    def wait(self, timeout: float | None, most: int, /) -> list[tuple[int, int]]:
        """Waits, and returns up to `most` pairs: a descriptor that is ready, and for what.

        `timeout` is seconds; None is for ever.
        """
    def fileno(self) -> int:
        """A descriptor that is readable while one that was added is ready."""

# The parts of sluiceio.aio that are in C. They are not for other use.

def _transport_type(base: type, buffered: type) -> type: ...
def _asyncio(
    loop: type[asyncio.BaseEventLoop],
    handle: type[asyncio.Handle],
    timer: type[asyncio.TimerHandle],
    future: Any,
    context: type,
    copy_context: Callable[[], Any],
    heapq: Any,
    failed: Callable[[Any, BaseException], None],
    /,
) -> tuple[type[Handle], type[TimerHandle]]: ...

class Handle(asyncio.Handle):
    """A callback to be called, as asyncio.Handle has it."""

    def cancel(self) -> None:
        """Keeps the callback from being called."""
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""

class TimerHandle(asyncio.TimerHandle):
    """A callback to be called at a time, as asyncio.TimerHandle has it."""

class Scheduler:
    """The part of sluiceio.aio.EventLoop that is in C: it runs the callbacks."""

    _ready: Any
    _scheduled: Any
    _timer_cancelled_count: int
    _closed: bool
    _stopping: bool
    _debug: bool
    def call_soon(
        self,
        callback: Callable[[Unpack[_Arguments]], object],
        *args: Unpack[_Arguments],
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Arranges for a callback to be called in the next turn, after those that wait already."""
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Arguments]], object],
        *args: Unpack[_Arguments],
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Arranges for a callback to be called at a time of the loop's clock: see time()."""
    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
    def get_debug(self) -> bool:
        """Whether the loop is in debug mode."""

class Engine:
    """What an event loop waits with."""

    @property
    def loop(self) -> Any: ...
    @property
    def waiting(self) -> bool: ...
    def _open(self, loop: Any, empty_file: int, /) -> None: ...
    def close(self) -> None: ...
    def watch(self, fd: int, interest: int, /) -> int: ...
    def rewatch(self, watch: int, interest: int, /) -> None: ...
    def end(self, handle: int, /) -> None: ...
    def listen(self, fd: int, accepted: Callable[[int], None], /) -> int: ...
    def abort(self, stream: int, /) -> None: ...
    def peername(self, stream: int, /) -> Any: ...
    def transport_of(self, fd: int, /) -> Any: ...
    def transports(self) -> list[Any]: ...
    def select(self, timeout: float | None, /) -> list[tuple[int, int]]: ...
    def dispatch(self) -> None: ...
    def wake(self) -> None: ...

class Transport(asyncio.Transport):
    """The part of sluiceio.aio.SocketTransport that is in C."""

    _sock: socket.socket | None
    _extra: dict[str, Any] | None
    _waiter: asyncio.Future[None] | None
    @property
    def _protocol(self) -> Any: ...
    @property
    def _server(self) -> Any: ...
    @property
    def _engine(self) -> Engine | None: ...
    @property
    def _protocol_paused(self) -> bool: ...
    @property
    def _lost(self) -> bool: ...
    def _begin(
        self,
        engine: Engine,
        protocol: Any,
        fd: int,
        stream: int,
        run: Any,
        server: Any,
        sock: Any,
        extra: dict[str, Any] | None,
        /,
    ) -> None: ...
    def _start(self) -> None: ...
    def _end_of_input(self) -> None: ...
    def _look_again(self) -> None: ...
    def _force_close(self, error: BaseException | None, /) -> None: ...
    def _set_marks(self, high: int, low: int, /) -> None: ...
    def _send_file(self, fd: int, offset: int, count: int, /) -> int: ...
    def _release(self) -> None: ...
    def _fileno(self) -> int: ...
    def write(self, data: bytes | bytearray | memoryview[Any], /) -> None:
        """Queues bytes, which go out together with the others of this turn."""
    def write_eof(self) -> None:
        """Tells the peer that no more comes, when all that is queued has been sent."""
    def close(self) -> None:
        """Ends the connection, when all that is queued has been sent."""
    def abort(self) -> None:
        """Ends the connection at once. What is queued is lost."""
    def pause_reading(self) -> None:
        """Stops the protocol from receiving, until resume_reading."""
    def resume_reading(self) -> None:
        """Lets the protocol receive again."""
    def is_closing(self) -> bool:
        """Whether the connection is closing, or has ended."""
    def is_reading(self) -> bool:
        """Whether the protocol receives: it is neither paused nor closing."""
    def set_protocol(self, protocol: asyncio.BaseProtocol, /) -> None:
        """Makes another protocol receive from now on."""
    def get_write_buffer_size(self) -> int:
        """How many bytes are queued to be sent."""
    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The low and the high mark, as set_write_buffer_limits takes them."""
