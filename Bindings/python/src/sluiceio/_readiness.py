"""`select`, `poll` and `epoll`, with the signatures of the module `select`, over Sluice's pollers.

There is no limit on descriptor numbers. A poller belongs to one thread at a time: a call while another
thread waits raises RuntimeError. A descriptor that is closed without being unregistered is silent,
while poll(2) would say POLLNVAL.
"""

import errno
import os
import select as _select
from typing import Any, Self

from . import _core
from ._closing import Closing
from ._values import Interest

error = OSError
POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL = 1, 2, 4, 8, 16, 32
POLLRDHUP = EPOLLRDHUP = 0x2000
POLLRDNORM, POLLRDBAND, POLLWRNORM, POLLWRBAND = 0x40, 0x80, 0x100, 0x200
EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR, EPOLLHUP = 1, 2, 4, 8, 16
EPOLLET, EPOLLONESHOT = 1 << 31, 1 << 30
EPOLLRDNORM, EPOLLRDBAND, EPOLLWRNORM, EPOLLWRBAND = 0x40, 0x80, 0x100, 0x200
EPOLL_CLOEXEC = _select.EPOLL_CLOEXEC
PIPE_BUF = _select.PIPE_BUF

__all__ = ["error", "select", "poll", "epoll", "PIPE_BUF"]
__all__ += [name for name in dir() if name.startswith(("POLL", "EPOLL"))]

_ALL = -1


class Poller(Closing, _core.Poller):
    """Descriptors, and the kernel's call that waits for them. `backend` is its name; None is the best
    one."""

    def __init__(self, backend: str | None = None) -> None:
        self._open(backend)


def select(
    rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None, /
) -> tuple[list[Any], list[Any], list[Any]]:
    """Waits until a descriptor of the three lists can be read, can be written, or has an exceptional
    condition. Returns those of each list. It works as select.select, without its limit of 1,024."""
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    lists = []
    wanted: dict[int, int] = {}
    for items, interest in (
        (rlist, Interest.READ.value),
        (wlist, Interest.WRITE.value),
        (xlist, Interest.PRIORITY.value),
    ):
        asked = [(item, _core.fileno(item)) for item in items]
        lists.append((asked, interest))
        for _, fd in asked:
            wanted[fd] = wanted.get(fd, 0) | interest
    with Poller("select") as poller:
        for fd, interest in wanted.items():
            try:
                poller.add(fd, interest)
            except FileExistsError:  # it was not open, and is the poller's own now
                raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None
        ready = dict(poller.wait(timeout, max(len(wanted), 1)))
    reading, writing, excepting = (
        [item for item, fd in asked if ready.get(fd, 0) & interest] for asked, interest in lists
    )
    return reading, writing, excepting


def _interest(mask: int) -> int:
    """What the poller is asked for. Its bits are the same as the kernel's."""
    interest = mask & (POLLIN | POLLPRI | POLLOUT)
    if mask & POLLRDNORM:
        interest |= POLLIN
    if mask & POLLWRNORM:
        interest |= POLLOUT
    if mask & POLLRDHUP:
        interest |= POLLIN  # it comes with that
    return interest


def _told(flags: int, mask: int) -> int:
    told = flags & (mask | POLLERR | POLLHUP)
    if flags & POLLIN:
        told |= mask & POLLRDNORM
    if flags & POLLOUT:
        told |= mask & POLLWRNORM
    return told


class poll:  # noqa: N801
    """As select.poll()."""

    def __init__(self) -> None:
        self._poller = Poller("poll")
        self._masks: dict[int, int] = {}
        self._invalid: set[int] = set()

    def register(
        self, fd: Any, eventmask: int = POLLIN | POLLPRI | POLLOUT, /
    ) -> None:
        """Makes `poll` report a descriptor. If it does already, the new events replace the old ones."""
        number = _core.fileno(fd)
        mask = _ushort(eventmask)
        if number in self._masks and number not in self._invalid:
            try:
                self._poller.modify(number, _interest(mask))
                self._masks[number] = mask
                return
            except FileNotFoundError:
                self._poller.remove(number)
        self._invalid.discard(number)
        self._masks[number] = mask
        try:
            self._poller.add(number, _interest(mask))
        except OSError as problem:
            if problem.errno not in (errno.EBADF, errno.EEXIST):  # closed, or the poller's
                del self._masks[number]
                raise
            self._invalid.add(number)  # poll(2) says POLLNVAL for it

    def modify(self, fd: Any, eventmask: int, /) -> None:
        """Changes the events that a registered descriptor is asked for."""
        number = _core.fileno(fd)
        if number not in self._masks:
            raise FileNotFoundError(errno.ENOENT, "not registered")
        self.register(number, eventmask)

    def unregister(self, fd: Any, /) -> None:
        """Ends a registration. KeyError if there is none."""
        number = _core.fileno(fd)
        del self._masks[number]
        if number in self._invalid:
            self._invalid.discard(number)
        else:
            self._poller.remove(number)

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """The descriptors that are ready, and for what. `timeout` is milliseconds; None, or less than
        0, is for ever."""
        seconds = None if timeout is None or timeout < 0 else timeout / 1000
        if self._invalid:
            seconds = 0
        told = []
        for fd, flags in self._poller.wait(seconds, max(len(self._masks), 1)):
            events = _told(flags, self._masks[fd])
            if events:
                told.append((fd, events))
        told += [(fd, POLLNVAL) for fd in self._invalid]
        return told


def _ushort(mask: int) -> int:
    if not isinstance(mask, int):
        raise TypeError("an event mask is an integer")
    if mask < 0:
        raise ValueError("can't convert negative value to C unsigned short")
    if mask > 0xFFFF:
        raise OverflowError("Python int too large to convert to C unsigned short")
    return mask


class epoll(Closing):  # noqa: N801
    """As select.epoll()."""

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        if sizehint != -1 and sizehint <= 0:
            raise ValueError("sizehint must be positive or -1")
        if flags & ~EPOLL_CLOEXEC:
            raise OSError(errno.EINVAL, "invalid flags")
        self._poller = Poller("epoll")
        self._masks: dict[int, int] = {}

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._poller.closed

    def close(self) -> None:
        """Ends it; the descriptors stay open."""
        self._poller.close()

    def __enter__(self) -> Self:
        if self.closed:
            raise ValueError("I/O operation on closed epoll object")
        return super().__enter__()

    def fileno(self) -> int:
        """A descriptor that is readable while one that is registered is ready."""
        return self._poller.fileno()

    def register(self, fd: Any, eventmask: int = EPOLLIN | EPOLLPRI | EPOLLOUT) -> None:
        """Makes `poll` report a descriptor. FileExistsError if it does already."""
        number = _core.fileno(fd)
        self._poller.add(number, _epoll_interest(eventmask))
        self._masks[number] = eventmask

    def modify(self, fd: Any, eventmask: int) -> None:
        """Changes the events that a registered descriptor is asked for."""
        number = _core.fileno(fd)
        self._poller.modify(number, _epoll_interest(eventmask))
        self._masks[number] = eventmask

    def unregister(self, fd: Any) -> None:
        """Ends a registration."""
        number = _core.fileno(fd)
        self._poller.remove(number)
        self._masks.pop(number, None)

    def poll(
        self, timeout: float | None = None, maxevents: int = -1
    ) -> list[tuple[int, int]]:
        """The descriptors that are ready, and for what. `timeout` is seconds; None, or less than 0, is
        for ever."""
        if timeout is not None and timeout < 0:
            timeout = None
        if maxevents == -1:
            maxevents = 1024
        elif maxevents < 1:
            raise ValueError(f"maxevents must be greater than 0, got {maxevents}")
        told = []
        for fd, flags in self._poller.wait(timeout, maxevents):
            events = _told(flags, self._masks.get(fd, 0))
            if events:
                told.append((fd, events))
        return told


def _epoll_interest(mask: int) -> int:
    interest = _interest(mask)
    if mask & EPOLLET:
        interest |= Interest.EDGE
    if mask & EPOLLONESHOT:
        interest |= Interest.ONE_SHOT
    return interest
