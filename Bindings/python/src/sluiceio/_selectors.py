"""The selectors of the module `selectors`, over Sluice's pollers."""

import selectors
from collections.abc import Mapping
from typing import Any, ClassVar

from ._readiness import Poller
from ._values import Interest

_READ, _WRITE = Interest.READ.value, Interest.WRITE.value
_READ_CLOSED = Interest.READ_CLOSED.value
_ENDS = (Interest.ERROR | Interest.HANGUP | Interest.READ_CLOSED).value


class Keys(Mapping[Any, selectors.SelectorKey]):
    """The registrations, by file object or by number."""

    def __init__(self, keys: dict[int, selectors.SelectorKey]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        try:
            return self._keys[number_of(fileobj, self._keys)]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None

    def __iter__(self) -> Any:
        return iter(self._keys)


def number_of(fileobj: Any, keys: dict[int, selectors.SelectorKey]) -> int:
    """A file's number. If the file is closed by now, the number under which it is registered. An object
    that is not a file raises ValueError, as selectors do."""
    try:
        fd = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
        if fd >= 0:
            return fd
    except (AttributeError, TypeError, ValueError):
        fd = None
    for number, key in keys.items():
        if key.fileobj is fileobj:
            return number
    raise ValueError(f"Invalid file object: {fileobj!r}" if fd is None
                     else f"Invalid file descriptor: {fd}")


def interest_of(events: int) -> int:
    """What a poller is asked for."""
    if not events or events & ~(selectors.EVENT_READ | selectors.EVENT_WRITE):
        raise ValueError(f"Invalid events: {events!r}")
    reads = _READ if events & selectors.EVENT_READ else 0
    return reads | (_WRITE if events & selectors.EVENT_WRITE else 0)


def events_of(flags: int) -> int:
    """The events of what a poller has reported. An end is both, so that whoever waits for either finds
    it."""
    events = 0
    if flags & (_READ | _ENDS):
        events |= selectors.EVENT_READ
    if flags & (_WRITE | _ENDS & ~_READ_CLOSED):
        events |= selectors.EVENT_WRITE
    return events


class _Selector(selectors.BaseSelector):
    _backend: ClassVar[str | None] = None
    _selector_cls: ClassVar[type[Poller]] = Poller  # a name that CPython's own tests know

    def __init__(self) -> None:
        self._poller = self._selector_cls(self._backend)
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._map: Keys | None = Keys(self._keys)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Makes `select` report a file object."""
        interest = interest_of(events)
        key = selectors.SelectorKey(fileobj, number_of(fileobj, self._keys), events, data)
        if key.fd in self._keys:
            raise KeyError(f"{fileobj!r} (FD {key.fd}) is already registered")
        self._poller.add(key.fd, interest)
        self._keys[key.fd] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Ends a registration, even of a file that is closed by now."""
        try:
            key = self._keys.pop(number_of(fileobj, self._keys))
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None
        try:
            self._poller.remove(key.fd)
        except OSError:
            pass
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Gives a registration other events to wait for, or other data."""
        try:
            key = self._keys[number_of(fileobj, self._keys)]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None
        if events != key.events:
            try:
                self._poller.modify(key.fd, interest_of(events))
            except BaseException:
                self.unregister(fileobj)
                raise
        key = key._replace(events=events, data=data)
        self._keys[key.fd] = key
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The registrations that are ready, and for what. `timeout` is seconds; None is for ever."""
        if timeout is not None and timeout < 0:
            timeout = 0
        ready = []
        for fd, flags in self._poller.wait(timeout, max(len(self._keys), 1)):
            key = self._keys.get(fd)
            events = events_of(flags) & key.events if key else 0
            if key and events:
                ready.append((key, events))
        return ready

    def get_map(self) -> Mapping[Any, selectors.SelectorKey] | None:  # type: ignore[override]
        """The registrations, by file object; None once it is closed."""
        return self._map

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """The registration of a file object. KeyError if there is none."""
        if self._map is None:
            raise RuntimeError("Selector is closed")
        return self._map[fileobj]

    def close(self) -> None:
        """Ends it; the files stay open."""
        self._poller.close()
        self._keys.clear()
        self._map = None


class SelectSelector(_Selector):
    """Over select(2), without its limit at 1,024."""

    _backend = "select"


class PollSelector(_Selector):
    """Over poll(2)."""

    _backend = "poll"


class EpollSelector(_Selector):
    """Over epoll(7)."""

    _backend = "epoll"

    def fileno(self) -> int:
        """A descriptor that is readable while one that is registered is ready."""
        return self._poller.fileno()


DefaultSelector = EpollSelector
