"""The enums, and the exceptions."""

import enum
import os

from . import _core


class Kind(enum.IntEnum):
    """What an event is."""

    READY = 1
    TIMER = 2
    SIGNAL = 3
    POSTED = 4
    ACCEPTED = 5
    CONNECTED = 6
    DATA = 7
    EOF = 8
    DRAINED = 9
    CLOSED = 10
    OVERLOADED = 11
    RESOLVED = 12


class Interest(enum.IntFlag):
    """What a watch waits for (the first three, and HANGUP), how it waits, and what READY
    reports."""

    READ = 1
    PRIORITY = 2
    WRITE = 4
    ERROR = 8
    HANGUP = 16
    EDGE = 0x100
    ONE_SHOT = 0x200
    READ_CLOSED = 0x2000


class Written(enum.IntEnum):
    """What became of a write. With the last two, nothing was taken.

    OVER_HIGH_MARK: wait for DRAINED before writing more. GONE: the stream has ended, or takes no more,
    since its connection is broken or it was shut down. FULL: it would have gone over a limit.
    """

    QUEUED = 0
    OVER_HIGH_MARK = 1
    GONE = 2
    FULL = 3


class Family(enum.IntEnum):
    """Which addresses of a name are asked for."""

    ANY = 0
    IPV4 = 4
    IPV6 = 6


class HandleKind(enum.IntEnum):
    """What a handle is."""

    WATCH = 1
    TIMER = 2
    SIGNAL = 3
    LISTENER = 4
    STREAM = 5
    RESOLVE = 6


class Error(OSError):
    """An error that Sluice itself gives. `code` is one of enum sluice_error in sluice.h."""

    code = 0


class StaleHandle(Error):
    """The handle of this id has ended."""

    code = -10009


class WrongKind(Error):
    """The handle of this id is of another kind."""

    code = -10010


class WrongThread(Error):
    """The loop belongs to another thread."""

    code = -10011


class Full(Error):
    """A limit is reached; nothing was taken."""

    code = -10008


class ClosedLoop(Error):
    """The loop has been closed."""

    code = -10006


class BadOption(Error):
    """An option is out of its range, or options do not go together."""

    code = -10013


class BadAddress(Error):
    """The text is not an address."""

    code = -10007


class UnknownName(Error):
    """A host name has no address."""

    code = -10014


class NotListening(Error):
    """The socket does not listen."""

    code = -10016


_OWN: dict[int, type[Error]] = {kind.code: kind for kind in Error.__subclasses__()}
_OWN |= dict.fromkeys(range(-10023, -10019), BadAddress)  # a part of the address is wrong
_FIRST_OWN = -10000  # an errno is above that


def error_of(code: int, words: str | None) -> OSError:
    """The exception that stands for a negative code: an OSError with the nearest errno."""
    number = _core.error_errno(code)
    if code > _FIRST_OWN:
        return OSError(number, words or os.strerror(number))
    error = _OWN.get(code, Error)(number, words)
    error.code = code
    return error


def code_of(reason: OSError | type[Error] | int) -> int:
    """A reason as a code of C: the code of an error, or an errno, which is negated there."""
    if isinstance(reason, int):
        return -reason
    code = getattr(reason, "code", 0)
    return code if isinstance(code, int) and code else -(getattr(reason, "errno", 0) or 0)


_core._setup(error_of, [None, *Kind], list(Written), Interest)
