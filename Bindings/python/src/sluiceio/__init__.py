"""I/O multiplexing over Sluice: a loop that is pulled, and what the standard library has, over that loop.

See the class for `Loop`. `select`, `poll` and `epoll` work like those of the module `select`, and
`SelectSelector`, `PollSelector`, `EpollSelector` and `DefaultSelector` like those of `selectors`.
`sluiceio.aio` has an event loop for asyncio, and `run` runs a coroutine on it.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

from ._core import Event, address_problem, backends
from ._loop import (
    Address,
    ConnectOptions,
    ListenOptions,
    Loop,
    LoopOptions,
    Statistics,
    StreamOptions,
)
from ._readiness import *  # noqa: F403
from ._readiness import __all__ as _readiness
from ._selectors import DefaultSelector, EpollSelector, PollSelector, SelectSelector
from ._values import (
    BadAddress,
    BadOption,
    ClosedLoop,
    Error,
    Family,
    Full,
    HandleKind,
    Interest,
    Kind,
    NotListening,
    StaleHandle,
    UnknownName,
    WrongKind,
    WrongThread,
    Written,
)

READY, TIMER, SIGNAL, POSTED = Kind.READY, Kind.TIMER, Kind.SIGNAL, Kind.POSTED
ACCEPTED, CONNECTED, DATA, EOF = Kind.ACCEPTED, Kind.CONNECTED, Kind.DATA, Kind.EOF
DRAINED, CLOSED, OVERLOADED, RESOLVED = Kind.DRAINED, Kind.CLOSED, Kind.OVERLOADED, Kind.RESOLVED
READ, PRIORITY, WRITE, HANGUP = Interest.READ, Interest.PRIORITY, Interest.WRITE, Interest.HANGUP

_T = TypeVar("_T")


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
    """asyncio.run on Sluice's event loop."""
    from . import aio

    return aio.run(main, debug=debug)


__all__ = [
    "ACCEPTED", "Address", "BadAddress", "BadOption", "CLOSED", "CONNECTED", "ClosedLoop",
    "ConnectOptions", "DATA", "DRAINED", "DefaultSelector", "EOF", "EpollSelector", "Error", "Event",
    "Family", "Full", "HANGUP", "HandleKind", "Interest", "Kind", "ListenOptions", "Loop",
    "LoopOptions", "NotListening", "OVERLOADED", "POSTED", "PRIORITY", "PollSelector", "READ",
    "READY", "RESOLVED", "SIGNAL", "SelectSelector", "StaleHandle", "Statistics", "StreamOptions",
    "TIMER", "UnknownName", "WRITE", "WrongKind", "WrongThread", "Written", "address_problem",
    "backends", "run", *_readiness,
]  # fmt: skip
