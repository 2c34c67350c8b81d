"""Sluice's loop in Python, by ctypes and the standard library alone.

    with sluice.Loop() as loop:
        loop.listen("127.0.0.1:9999")
        for event in loop:
            if event.kind == sluice.DATA:
                loop.write(event.id, event.data)

Events are pulled in batches (sluice_next_many), since a call through ctypes is dear.

A DATA event's bytes are a read-only memoryview of the loop's own buffer, which the next pull fills
anew. So it is released then, and using it raises ValueError. A slice of it cannot be released from
here: while one is kept, pulling raises BufferError. Copy what is to be kept, with bytes().

A loop belongs to the thread that opened it; only `post` and `wake` may be called from another. Calls
raise OSError with an errno where the kernel gave one (so FileNotFoundError and the like), and
`Error`, an OSError with the errno that comes nearest, where Sluice has the word. What befalls a
connection is not raised by the call in hand: its CLOSED says it. Times are seconds.
While a pull waits, Python handles no signal: ask for those that matter, Ctrl-C among them, with
`signal`.

Options are keyword arguments. LoopOptions, ListenOptions, StreamOptions and ConnectOptions say which
there are.
"""

import collections
import ctypes
import errno
import math
import os
import struct
import threading
import typing
import weakref

# Kinds of events, from enum sluice_event_kind.
READY, TIMER, SIGNAL, POSTED, ACCEPTED, CONNECTED = range(1, 7)
DATA, EOF, DRAINED, CLOSED, OVERLOADED, RESOLVED = range(7, 13)

# What a watch waits for and READY reports, from enum sluice_interest and enum sluice_condition.
READ, PRIORITY, WRITE, ERROR, HANGUP, READ_CLOSED = 1, 2, 4, 8, 16, 0x2000
EDGE, ONE_SHOT = 0x100, 0x200

# What became of a write. Of the last two nothing was taken. GONE is a stream that has ended, or takes no
# more, since its connection is broken or it was shut down. FULL is over a limit.
QUEUED, OVER_HIGH_MARK, GONE, FULL = range(4)

# Which addresses of a name are asked for, from enum sluice_family.
ANY_FAMILY, IPV4, IPV6 = 0, 4, 6

FOREVER = 2**63 - 1
LAST = 1  # of a DATA's value
ADDRESS_MAX = 160
BATCH = 64  # events in one pull
EVENT = struct.Struct("@IiQQPNQ")  # sluice_event


class Error(OSError):
    """What Sluice refuses by itself. `code` is of enum sluice_error."""

    code = 0


class StaleHandle(Error):
    """The handle of this id has ended."""

    code = -10009


class WrongKind(Error):
    """The handle of this id is of another kind."""

    code = -10010


class WrongThread(Error):
    """The loop is of another thread."""

    code = -10011


class Full(Error):
    """Over a limit; nothing was taken."""

    code = -10008


class ClosedLoop(Error):
    """The loop has been closed."""

    code = -10006  # SLUICE_ENULL, and it is the loop that is


class BadOption(Error):
    """An option out of its range, or options that do not go together."""

    code = -10013


class UnknownName(Error):
    """A host name has no address."""

    code = -10014


class NotListening(Error):
    """The socket does not listen."""

    code = -10016


TYPES = {kind.code: kind for kind in Error.__subclasses__()}


class Event(typing.NamedTuple):
    kind: int
    id: int  # whose event it is
    data: memoryview | list | None  # DATA: bytes; RESOLVED: addresses, as text
    length: int  # DATA: of the data; CLOSED: how many queued bytes were not sent
    value: int  # READY: flags; SIGNAL: its number; POSTED: the word; ACCEPTED: the listener's id
    error: OSError | None  # CLOSED, OVERLOADED, RESOLVED: why, or None for an orderly end

    @property
    def seen(self):
        """DATA: how many of the first bytes were in an event before, and were held."""
        return self.value >> 1 if self.kind == DATA else 0

    @property
    def is_last(self):
        """DATA: whether these were held when the input ended, and nothing follows them."""
        return self.kind == DATA and bool(self.value & LAST)


def error_of(code, words=None):
    """The exception that stands for a negative code, where there are better words for it in those."""
    kind = OSError if -10000 < code else TYPES.get(code, Error)
    if not words:
        words = library.sluice_error_message(code)
    error = kind(library.sluice_error_errno(code),
                 "the loop is closed" if kind is ClosedLoop else words.decode())
    error.code = code
    return error


def code_of(reason):
    """A reason as C takes it: that of an error, or an errno, which is negated there."""
    if isinstance(reason, int):
        return -reason
    return getattr(reason, "code", 0) or -(reason.errno or 0)


def check(code):
    """The result of a call, unless it says that the call failed."""
    if code < 0:
        raise error_of(code)
    return code


def told(code):
    """What a call of a stream says that is no fault of the caller's: QUEUED, …"""
    if code == Full.code:
        return FULL
    if code == StaleHandle.code or -10000 < code < 0 and code != -errno.ENOMEM:
        return GONE  # it has ended, or is broken: in the kernel's words
    return check(code)


class OptionStruct(ctypes.Structure):
    """Options as C takes them. 0 is a default there, and so nothing that can be asked for here; None
    is the default."""

    NUMBERS = TEXTS = frozenset()
    FLAGS = {}  # by name: the bits for a true value, and for a false one
    TIMES = {}  # by name: the field, and how many of its units are a second

    def __init__(self, options):
        super().__init__(size=ctypes.sizeof(self))
        for name, value in options.items():
            if value is not None:
                self._take(name, value)

    @classmethod
    def has(cls, name):
        return any(name in names for names in (cls.NUMBERS, cls.TEXTS, cls.FLAGS, cls.TIMES))

    def _take(self, name, value):
        if name in self.FLAGS:
            self.flags |= self.FLAGS[name][0 if value else 1]
        elif name in self.TIMES:
            field, units = self.TIMES[name]
            if not value > 0:
                raise out_of_range(name, value)
            self._put(field, math.ceil(min(value * units, FOREVER)), name, value)
        elif name in self.TEXTS:
            if "\0" in value:
                raise out_of_range(name, value)
            setattr(self, name, value.encode())
        elif name in self.NUMBERS:
            self._put(name, value, name, value)
        else:
            raise TypeError(f"{name}={value!r}: there is no such option here")

    def _put(self, field, number, name, value):
        """ctypes would cut off what is too much for a field."""
        if not isinstance(number, int):
            raise TypeError(f"{name}={value!r}: it takes a whole number")
        setattr(self, field, number)
        if number < 1 or getattr(self, field) != number:
            raise out_of_range(name, value)


class LoopOptions(OptionStruct):
    """backend, such as "poll". receive_size, what one receive brings at most. high_mark, over which a
    stream is to wait for DRAINED; low_mark, at which that comes; hard_limit, which a write may not go
    over: in queued bytes. memory_limit, of all that is queued and held. post_limit. handle_limit, of
    each kind. interruptible: a signal that a handler took ends a pull, by InterruptedError."""

    _fields_ = [
        ("size", ctypes.c_size_t), ("backend", ctypes.c_char_p), ("reallocate", ctypes.c_void_p),
        ("allocation_context", ctypes.c_void_p), ("receive_size", ctypes.c_size_t),
        ("high_mark", ctypes.c_size_t), ("low_mark", ctypes.c_size_t),
        ("hard_limit", ctypes.c_size_t), ("memory_limit", ctypes.c_size_t),
        ("post_limit", ctypes.c_size_t), ("handle_limit", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    ]
    NUMBERS = {"receive_size", "high_mark", "low_mark", "hard_limit", "memory_limit", "post_limit",
               "handle_limit"}
    TEXTS = {"backend"}
    FLAGS = {"interruptible": (1, 0)}


class StreamOptions(OptionStruct):
    """half_open: stays when the peer has ended. delay: leaves Nagle's algorithm on. keepalive, and
    keepalive_after, the silent seconds before the first probe. throttled: is not read from over its
    high mark, as accepted streams are by default and others are not. idle_timeout: without a byte for
    so long it ends. linger: how long a close may take. high_mark and low_mark: as the loop's, for
    these streams."""

    _fields_ = [
        ("size", ctypes.c_size_t), ("flags", ctypes.c_uint32),
        ("keepalive_seconds", ctypes.c_uint32), ("idle_timeout_ns", ctypes.c_int64),
        ("linger_ns", ctypes.c_int64), ("connect_timeout_ns", ctypes.c_int64),
        ("high_mark", ctypes.c_size_t), ("low_mark", ctypes.c_size_t),
        ("source", ctypes.c_char_p),
    ]
    NUMBERS = {"high_mark", "low_mark"}
    FLAGS = {"half_open": (1, 0), "delay": (2, 0), "keepalive": (4, 0), "throttled": (8, 16)}
    TIMES = {"keepalive_after": ("keepalive_seconds", 1), "idle_timeout": ("idle_timeout_ns", 1e9),
             "linger": ("linger_ns", 1e9)}


class ConnectOptions(StreamOptions):
    """Those of a stream, and connect_timeout, and source: the address that it comes from, numeric or
    unix:@name."""

    TEXTS = {"source"}
    TIMES = StreamOptions.TIMES | {"connect_timeout": ("connect_timeout_ns", 1e9)}


class ListenOptions(OptionStruct):
    """reuse_port: several loops accept at one address. only_ipv6: takes no IPv4 callers. backlog.
    accept_batch, in one turn. connection_limit, open at once. unix_mode, such as 0o600: who may call
    at a unix path. And the options of its streams."""

    _fields_ = [
        ("size", ctypes.c_size_t), ("flags", ctypes.c_uint32), ("backlog", ctypes.c_uint32),
        ("accept_batch", ctypes.c_uint32), ("connection_limit", ctypes.c_uint32),
        ("streams", ctypes.POINTER(StreamOptions)), ("unix_mode", ctypes.c_uint32),
    ]
    NUMBERS = {"backlog", "accept_batch", "connection_limit", "unix_mode"}
    FLAGS = {"reuse_port": (1, 0), "only_ipv6": (2, 0)}

    def __init__(self, options):
        super().__init__({name: value for name, value in options.items() if self.has(name)})
        rest = {name: value for name, value in options.items() if not self.has(name)}
        self.streams = ctypes.pointer(StreamOptions(rest))


def out_of_range(name, value):
    return error_of(BadOption.code, f"{name}={value!r} is out of its range".encode())


def check_with(code, options):
    """As `check`; an error names the options, since one of them may be to blame."""
    if code < 0 and options:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise error_of(code, library.sluice_error_message(code) + f" (with {given})".encode())
    return check(code)


def declare(library, result, names, *parameters):
    for name in names.split():
        function = getattr(library, f"sluice_{name}")
        function.restype = result
        function.argtypes = parameters


def load(loader):
    """The library, with what its functions take. All that are not named take a loop and an id."""
    library = loader("libsluice.so.0")
    loop, handle, number, text = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p
    nanoseconds, size, pointer = ctypes.c_int64, ctypes.c_size_t, ctypes.c_void_p
    new = ctypes.POINTER(handle)
    declare(library, text, "error_message", number)
    declare(library, number, "error_errno", number)
    declare(library, text, "name_problem", loop, handle)
    declare(library, number, "open", ctypes.POINTER(loop), pointer)
    declare(library, number, "destroy wake take_over", loop)
    declare(library, nanoseconds, "update_now", loop)
    declare(library, number, "next_many", loop, pointer, number, nanoseconds)
    declare(library, number, "post", loop, ctypes.c_uint64)
    declare(library, number, "close abort fd flush shutdown pause resume", loop, handle)
    declare(library, number, "abort_with", loop, handle, number)
    declare(library, number, "watch", loop, new, number, ctypes.c_uint32, ctypes.c_uint64)
    declare(library, number, "rewatch", loop, handle, ctypes.c_uint32)
    declare(library, number, "timer", loop, new, nanoseconds, nanoseconds, ctypes.c_uint64)
    declare(library, number, "timer_reset", loop, handle, nanoseconds)
    declare(library, number, "signal", loop, new, number)
    declare(library, number, "listen connect", loop, new, text, pointer)
    declare(library, number, "adopt listen_fd", loop, new, number, pointer)
    declare(library, number, "resolve", loop, new, text, ctypes.c_uint32, ctypes.c_uint64)
    declare(library, number, "local_address peer_address", loop, handle, text, size)
    declare(library, number, "write", loop, handle, pointer, size)
    declare(library, ctypes.c_ssize_t, "send_file", loop, handle, number, nanoseconds, size)
    declare(library, number, "hold", loop, handle, size)
    declare(library, number, "hold_until", loop, handle, size, size)
    declare(library, ctypes.c_int64, "pending", loop, handle)
    declare(library, number, "forward", loop, handle, handle)
    return library


# One that keeps Python's lock, for calls that do not wait, and one that lets other threads run.
library = load(ctypes.PyDLL)
waiting_library = load(ctypes.CDLL)


class Loop:
    """Looks after watches, timers, signals, listeners, streams and names to look up, each named by an
    id.

    Use it in a `with` block, or end it by `destroy`: it does not end by itself.
    """

    def __init__(self, **options):
        """Opens it; LoopOptions has the options."""
        self._loop = ctypes.c_void_p()
        self._posting = threading.RLock()  # a signal handler may post, too
        self._events = ctypes.create_string_buffer(BATCH * EVENT.size)
        self._left = collections.deque()  # of the last pull: what a for has not come to yet
        self._lent = []  # the views that the last pull gave, and what each is a view of
        self._ended = set()  # the ids that were closed since the last pull
        given = ctypes.byref(LoopOptions(options))
        check_with(library.sluice_open(self._loop, given), options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.destroy()

    def destroy(self):
        """Ends all handles, without an event, and the loop. Later calls raise ClosedLoop."""
        if self._loop:
            self._check_thread()
            self._take_back()
            self._left.clear()
            with self._posting:
                # Out of reach before it is gone: a signal handler may raise between the two.
                loop = ctypes.c_void_p(self._loop.value)
                self._loop.value = None
                check(library.sluice_destroy(loop))

    # Pulling.

    def __iter__(self):
        """All events to come. One of a handle that was closed meanwhile is left out. What a for that
        is left has not come to yet, the next one brings."""
        while True:
            self._left.extend(self.pull())
            while self._left:
                event = self._left.popleft()
                if self._is_due(event):
                    yield event

    def _is_due(self, event):
        return event.id not in self._ended or event.kind in (POSTED, CLOSED)

    def pull(self, timeout=None):
        """A list of the events there are, after waiting for the first; empty when the time is up, or
        after a wake.

        They have been gathered already: a handle may end before its event is looked at.
        """
        if self._left:
            self._check_thread()
            left = [event for event in self._left if self._is_due(event)]
            self._left.clear()
            if left:
                return left
        self._take_back()
        self._ended.clear()
        wait = FOREVER if timeout is None else nanoseconds(timeout)
        count = check(waiting_library.sluice_next_many(self._loop, self._events, BATCH, wait))
        gathered = memoryview(self._events)[: count * EVENT.size]
        return [self._event(*fields) for fields in EVENT.iter_unpack(gathered)]

    def _event(self, kind, error, handle, _user, address, length, value):
        if kind == DATA:
            return Event(kind, handle, self._lend(address, length), length, value, None)
        data = words = None
        if kind == RESOLVED:
            words = ctypes.string_at(address, length) if address else b""
            data = words.decode().splitlines() if error == 0 else []
        elif error < 0 and kind == CLOSED:
            words = library.sluice_name_problem(self._loop, handle)
        return Event(kind, handle, data, length, value, error_of(error, words) if error < 0 else None)

    def _lend(self, address, length):
        array = (ctypes.c_char * length).from_address(address)
        view = memoryview(array).toreadonly().cast("B")
        self._lent.append((view, weakref.ref(array)))
        return view

    def _take_back(self):
        """Releases what was lent. A view of a view keeps its array alive."""
        if self._lent:
            self._check_thread()
        for view, _ in self._lent:
            view.release()
        self._lent = [lent for lent in self._lent if lent[1]() is not None]
        if self._lent:
            raise BufferError("a view of an event's data is kept past a pull; copy it with bytes()")

    def _check_thread(self):
        told(library.sluice_close(self._loop, 0))  # which refuses the wrong thread, and no more

    def post(self, value):
        """Has `value`, 64 bits, come as POSTED. From any thread."""
        with self._posting:
            check(library.sluice_post(self._loop, value))

    def wake(self):
        """Ends the pull that is under way, or else the next. From any thread."""
        with self._posting:
            check(library.sluice_wake(self._loop))

    def update_now(self):
        """Reads the clock, time.monotonic(), from which timers count; else it is read at each wait."""
        return check(library.sluice_update_now(self._loop)) / 1e9

    def take_over(self):
        """Makes the calling thread the loop's. The one that had it makes no call of it any more."""
        check(library.sluice_take_over(self._loop))

    # Handles.

    def close(self, handle):
        """Ends a handle, unless it has ended; a stream after what is queued has been sent. Its CLOSED
        tells when."""
        self._goes_on(handle, library.sluice_close(self._loop, handle))
        self._ended.add(handle)

    def abort(self, handle, reason=None):
        """Ends a handle at once, unless it has ended. The error of a stream's CLOSED is `reason`, where
        there is one: an errno, or an OSError such as sluice.Full() or another stream's."""
        if reason is None:
            code = library.sluice_abort(self._loop, handle)
        else:
            code = library.sluice_abort_with(self._loop, handle, code_of(reason))
        self._goes_on(handle, code)
        self._ended.add(handle)

    def fileno(self, handle):
        """The descriptor of a watch, listener or stream, which stays whose it is."""
        return check(library.sluice_fd(self._loop, handle))

    def watch(self, fd, interest):
        """Reports READY for a descriptor, which stays the caller's."""
        return self._made(library.sluice_watch, fd, interest, 0)

    def rewatch(self, watch, interest):
        check(library.sluice_rewatch(self._loop, watch, interest))

    def timer(self, first, repeat=0):
        """Reports TIMER after `first` seconds, and every `repeat` after that, unless that is 0."""
        return self._made(library.sluice_timer, nanoseconds(first), nanoseconds(repeat), 0)

    def timer_reset(self, timer, first):
        check(library.sluice_timer_reset(self._loop, timer, nanoseconds(first)))

    def signal(self, number):
        """Reports SIGNAL, which is blocked in this thread for as long as the handle lives."""
        return self._made(library.sluice_signal, number)

    def listen(self, address, **options):
        """Accepts connections at an address: 127.0.0.1:9999, [::1]:0, *:9999, unix:/run/echo.sock.

        At a name, such as localhost:9999, it may block for seconds to look that up. ListenOptions
        and StreamOptions have the options.
        """
        return self._made_with(ListenOptions, options, library.sluice_listen, text_of(address))

    def listen_fd(self, fd, **options):
        """A listener of a socket that listens already, which is the loop's from then on. Where this
        raises, it stays the caller's."""
        return self._made_with(ListenOptions, options, library.sluice_listen_fd, fd)

    def connect(self, address, **options):
        """A stream to an address, or to a name, such as example.com:443: it will be CONNECTED, or
        CLOSED with an error. ConnectOptions has the options."""
        return self._made_with(ConnectOptions, options, library.sluice_connect, text_of(address))

    def resolve(self, address, family=ANY_FAMILY):
        """Looks up a name, such as example.com:443: RESOLVED brings its addresses, or the error."""
        return self._made(library.sluice_resolve, text_of(address), family, 0)

    def adopt(self, fd, **options):
        """A stream of a connected descriptor, which is the loop's from then on: give it what a
        socket's detach() returns. Where this raises, it stays the caller's. StreamOptions has the
        options."""
        return self._made_with(StreamOptions, options, library.sluice_adopt, fd)

    def local_address(self, handle):
        return self._address(library.sluice_local_address, handle)

    def peer_address(self, handle):
        return self._address(library.sluice_peer_address, handle)

    def _made(self, function, *arguments):
        handle = ctypes.c_uint64()
        check(function(self._loop, handle, *arguments))
        return handle.value

    def _made_with(self, structure, options, function, what):
        handle = ctypes.c_uint64()
        given = ctypes.byref(structure(options))
        check_with(function(self._loop, handle, what, given), options)
        return handle.value

    def _address(self, function, handle):
        text = ctypes.create_string_buffer(ADDRESS_MAX)
        check(function(self._loop, handle, text, ADDRESS_MAX))
        return os.fsdecode(text.value)

    # Streams.

    def write(self, stream, data):
        """Queues bytes, whole or not at all, to be sent with all others at the next pull: QUEUED, or
        OVER_HIGH_MARK (wait for DRAINED), or GONE. The result need not be looked at.

        A stream that would be over its hard limit, or the loop's memory limit, ends: FULL, which is
        also the error of its CLOSED.
        """
        result = self.try_write(stream, data)
        if result == FULL:
            self._end_full(stream)
        return result

    def try_write(self, stream, data):
        """As `write`, but where the answer is FULL, the stream goes on as it was."""
        data = bytes_of(data)
        length = len(data) if type(data) is bytes else ctypes.sizeof(data)
        return told(library.sluice_write(self._loop, stream, data, length))

    def send_file(self, stream, file, offset, length):
        """Has the kernel send bytes of a file, a number or what has a fileno(), behind all that was
        written. How many went; where those are fewer than `length`, DRAINED says when to go on with the
        rest. None for a stream that is gone. An OSError is the file's: ENODATA where it ends before
        `offset`. The stream goes on then."""
        fd = file if isinstance(file, int) else file.fileno()
        offset, length = max(-1, min(offset, FOREVER)), max(0, min(length, FOREVER))
        sent = library.sluice_send_file(self._loop, stream, fd, offset, length)
        if sent >= 0:
            return sent
        if sent > -10000 and self.try_write(stream, b"") != GONE:
            check(sent)  # it is not the stream that is broken
        self._goes_on(stream, sent)
        return None

    def flush(self, stream):
        """Sends what is queued, now. False for a stream that is gone, as of all below."""
        return self._goes_on(stream, library.sluice_flush(self._loop, stream))

    def shutdown(self, handle):
        """Half-close: sends what is queued, then tells the peer that no more comes. Of a listener:
        lets no more callers in, and ends by a CLOSED."""
        code = library.sluice_shutdown(self._loop, handle)
        if -10000 < code < 0 and code != -errno.EPIPE:
            check(code)  # a listener's: no stream says so
        return self._goes_on(handle, code)

    def pause(self, stream):
        return self._goes_on(stream, library.sluice_pause(self._loop, stream))

    def resume(self, stream):
        return self._goes_on(stream, library.sluice_resume(self._loop, stream))

    def hold(self, stream, length):
        """Has the last `length` bytes of its DATA come again, joined with what follows. Over a limit
        the stream ends, as of `write`."""
        return self._goes_on(stream, library.sluice_hold(self._loop, stream, length))

    def hold_until(self, stream, length, total):
        """The same, and no DATA comes before `total` bytes are there together, those among them, or the
        stream ends."""
        total = max(0, min(total, FOREVER))
        return self._goes_on(stream, library.sluice_hold_until(self._loop, stream, length, total))

    def forward(self, stream, to):
        """A proxy: what `stream` receives is written to `to`; 0 ends that."""
        return self._goes_on(stream, library.sluice_forward(self._loop, stream, to))

    def _goes_on(self, stream, code):
        """Whether it does, after a call whose bytes are lost where they are too many."""
        result = told(code)
        if result == FULL:
            self._end_full(stream)
        return result < GONE

    def _end_full(self, stream):
        check(library.sluice_abort_with(self._loop, stream, Full.code))
        self._ended.add(stream)

    def pending(self, stream):
        """How many bytes are queued."""
        return check(library.sluice_pending(self._loop, stream))


def nanoseconds(seconds):
    if math.isnan(seconds):
        raise ValueError("a time that is no number")
    return round(max(-1, min(seconds * 1e9, FOREVER)))


def text_of(address):
    """An address as C takes it. A unix path may be any bytes, as in os, but that 0 ends it."""
    text = os.fsencode(address)
    if b"\0" in text:
        raise error_of(-10007, f"{address!r} has a 0 byte".encode())  # SLUICE_EADDRESS
    return text


def bytes_of(data):
    """What C can be pointed to: bytes, an event's whole data where it lies, a copy of others. A class
    of bytes may have another idea of its length."""
    if type(data) is bytes:
        return data
    view = memoryview(data)
    whole = view.obj
    if isinstance(whole, ctypes.Array) and view.c_contiguous and view.nbytes == ctypes.sizeof(whole):
        return whole
    return view.tobytes()
