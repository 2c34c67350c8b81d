"""An event loop for asyncio, over Sluice.

    sluiceio.run(main())
    asyncio.Runner(loop_factory=sluiceio.aio.new_event_loop)
    asyncio.set_event_loop_policy(sluiceio.aio.EventLoopPolicy())

It is asyncio's own loop for Unix, with Sluice's loop in place of its selector. Connections are Sluice's
streams. Their transports are in C, and so are the handles of callbacks and the code that runs them. TLS is
asyncio's, over these transports. Datagrams, pipes, subprocesses, signals and names are asyncio's.
"""

import asyncio
import asyncio.constants
import asyncio.events
import asyncio.format_helpers
import asyncio.log
import asyncio.sslproto
import asyncio.transports
import asyncio.trsock
import contextvars
import errno
import heapq
import io
import os
import selectors
import socket
import sys
import warnings
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from . import _core
from ._selectors import Keys, events_of, interest_of, number_of

_T = TypeVar("_T")

if TYPE_CHECKING:
    _Base = _core.Transport
else:
    # The one of asyncio's classes that its sendfile asks for.
    _Base = _core._transport_type(
        asyncio.transports._FlowControlMixin, asyncio.BufferedProtocol
    )


def _failed(handle: Any, error: BaseException) -> None:
    """Reports that a callback has raised, as asyncio's own Handle does."""
    call = asyncio.format_helpers._format_callback_source(handle._callback, handle._args)
    problem = {"message": f"Exception in callback {call}", "exception": error, "handle": handle}
    if handle._source_traceback:
        problem["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(problem)


Handle, TimerHandle = _core._asyncio(
    asyncio.BaseEventLoop, asyncio.Handle, asyncio.TimerHandle, asyncio.Future,
    contextvars.Context, contextvars.copy_context, heapq, _failed,
)  # fmt: skip

_SSLProtocol: Any = asyncio.sslproto.SSLProtocol  # takes times as floats, which its types do not say

__all__ = ["EventLoop", "SocketTransport", "new_event_loop", "run"]


class SocketTransport(_Base):
    """A connection. `asyncio.Transport` describes its methods. Those that are not here are in C."""

    if not TYPE_CHECKING:
        __slots__ = ("__weakref__",)

    _start_tls_compatible = True
    _sendfile_compatible = asyncio.constants._SendfileMode.TRY_NATIVE

    @property
    def _loop(self) -> Any:
        engine = self._engine
        return engine.loop if engine is not None else None

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self.is_closing() else "open"
        return f"<{type(self).__name__} {state} fd={self._fileno()}>"

    def get_protocol(self) -> Any:
        """The protocol."""
        return self._protocol

    def can_write_eof(self) -> bool:
        """Whether write_eof can be called. It always can."""
        return True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`socket`, `sockname`, `peername`."""
        extra = self._extra
        if extra is None:
            extra = self._extra = {}
        if name not in extra and name in ("socket", "sockname", "peername"):
            sock = self._socket()
            if sock is None:
                return default
            if name == "socket":
                extra[name] = asyncio.trsock.TransportSocket(sock)
            else:
                try:
                    extra[name] = sock.getsockname() if name == "sockname" else sock.getpeername()
                except OSError:
                    extra[name] = None
        return extra.get(name, default)

    def _socket(self) -> socket.socket | None:
        """The connection as a socket. The core owns the descriptor: the socket is detached here, and never
        closed."""
        if self._sock is None and (fd := self._fileno()) >= 0:
            self._sock = socket.socket(fileno=fd)
        return self._sock

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The protocol's pause_writing is called over `high` queued bytes, and its resume_writing at `low`.
        Marks other than asyncio's own take effect as soon as nothing is queued."""
        if high is None:
            high = 64 * 1024 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._set_marks(int(min(high, sys.maxsize)), int(min(low, sys.maxsize)))

    def _fatal_error(self, error: BaseException, message: str = "Fatal error on transport") -> None:
        if isinstance(error, OSError):
            if self._loop.get_debug():
                asyncio.log.logger.debug("%r: %s", self, message, exc_info=True)
        else:
            self._protocol_failed(error, message)
        self._force_close(error)

    def _protocol_failed(self, error: BaseException, message: str) -> None:
        self._loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
        )

    def _warn_lost(self) -> None:
        asyncio.log.logger.warning("socket.send() raised exception.")

    def _sent(self) -> None:
        """The sending of a file can go on."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _connection_lost(self, error: BaseException | None) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(ConnectionError("Connection is closed by peer"))
        try:
            if self._protocol is not None:
                self._protocol.connection_lost(error)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._sock is not None:
            self._sock.detach()
        server = self._server
        self._release()
        if server is not None:
            if sys.version_info >= (3, 13):
                server._detach(self)
            else:
                server._detach()


class _Selector(selectors.BaseSelector):
    """Sluice's loop as a selector, which asyncio's loop asks for. What belongs to streams is not seen
    here."""

    def __init__(self, engine: _core.Engine) -> None:
        self._engine = engine
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._watches: dict[int, int] = {}
        self._map: Keys | None = Keys(self._keys)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        interest = interest_of(events)
        key = selectors.SelectorKey(fileobj, number_of(fileobj, self._keys), events, data)
        if key.fd in self._keys:
            raise KeyError(f"{fileobj!r} (FD {key.fd}) is already registered")
        self._watches[key.fd] = self._engine.watch(key.fd, interest)
        self._keys[key.fd] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = self._keys.pop(number_of(fileobj, self._keys))
        self._engine.end(self._watches.pop(key.fd))
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._keys[number_of(fileobj, self._keys)]
        if events != key.events:
            try:
                self._engine.rewatch(self._watches[key.fd], interest_of(events))
            except OSError:  # another file has the number by now
                self._engine.end(self._watches[key.fd])
                self._watches[key.fd] = self._engine.watch(key.fd, interest_of(events))
        key = key._replace(events=events, data=data)
        self._keys[key.fd] = key
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = []
        for fd, flags in self._engine.select(timeout):
            key = self._keys.get(fd)
            if key is not None:
                ready.append((key, events_of(flags) & key.events))
        return ready

    def get_map(self) -> Mapping[Any, selectors.SelectorKey] | None:  # type: ignore[override]
        return self._map

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[number_of(fileobj, self._keys)]

    def close(self) -> None:
        self._engine.close()
        self._keys.clear()
        self._map = None


class EventLoop(_core.Scheduler, asyncio.SelectorEventLoop):
    """asyncio's event loop for Unix, over Sluice's."""

    def __init__(self) -> None:
        self._engine = _core.Engine()
        self._empty_file = os.memfd_create("empty")
        self._listeners: dict[int, int] = {}
        try:
            self._engine._open(self, self._empty_file)
            super().__init__(_Selector(self._engine))
            self._dispatch = asyncio.Handle(self._engine.dispatch, (), self, contextvars.Context())
        except BaseException:
            os.close(self._empty_file)
            raise

    def close(self) -> None:
        """Ends the loop, and what is left of its connections."""
        if self.is_running() or self.is_closed():
            super().close()
            return
        for transport in self._engine.transports():
            if not transport.is_closing():
                warnings.warn(f"unclosed transport {transport!r}", ResourceWarning, source=transport)
            transport._let_go()
        super().close()
        os.close(self._empty_file)

    def _process_events(self, event_list: Any) -> None:
        super()._process_events(event_list)  # type: ignore[misc]
        if self._engine.waiting:
            self._ready.append(self._dispatch)

    def _write_to_self(self) -> None:
        self._engine.wake()

    # Connections.

    def _make_socket_transport(
        self, sock: Any, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None
    ) -> SocketTransport:
        if not issubclass(type(sock), socket.socket):  # its owner is not known
            return super()._make_socket_transport(  # type: ignore[misc,no-any-return]
                sock, protocol, waiter, extra=extra, server=server
            )
        self._ensure_fd_no_transport(sock)
        transport = SocketTransport()
        context = contextvars.copy_context()
        transport._begin(
            self._engine, protocol, sock.fileno(), 0, context.run, server, sock, extra
        )
        transport.get_extra_info("peername")
        if server is not None:
            self._attach(server, transport)
        self.call_soon(protocol.connection_made, transport)
        self.call_soon(transport._start)
        if waiter is not None:
            self.call_soon(_set_unless_cancelled, waiter)
        return transport

    def _make_ssl_transport(
        self,
        rawsock: Any,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        tls = _SSLProtocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout,
        )  # fmt: skip
        self._make_socket_transport(rawsock, tls, extra=extra, server=server)
        return tls._app_transport

    def _attach(self, server: Any, transport: SocketTransport) -> None:
        if sys.version_info >= (3, 13):
            server._attach(transport)
        else:
            server._attach()

    def _ensure_fd_no_transport(self, fd: Any) -> None:
        try:
            number = fd if isinstance(fd, int) else int(fd.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fd!r}") from None
        transport = self._engine.transport_of(number)
        if transport is not None and not transport.is_closing():
            raise RuntimeError(f"File descriptor {fd!r} is used by transport {transport!r}")

    # Servers.

    def _start_serving(
        self,
        protocol_factory: Callable[[], Any],
        sock: socket.socket,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> None:
        context = contextvars.copy_context()

        def accept(stream: int) -> None:
            own = context.copy()
            own.run(accepted, stream, own.run)

        def accepted(stream: int, run: Any) -> None:
            transport = SocketTransport()
            protocol = waiter = None
            try:
                protocol = handler = protocol_factory()
                if sslcontext:
                    waiter = self.create_future()
                    waiter.add_done_callback(handshaken)
                    handler = _SSLProtocol(
                        self, protocol, sslcontext, waiter, True, None,
                        ssl_handshake_timeout=ssl_handshake_timeout,
                        ssl_shutdown_timeout=ssl_shutdown_timeout,
                    )  # fmt: skip
                extra = {"peername": self._engine.peername(stream)}
                transport._begin(self._engine, handler, -1, stream, run, server, None, extra)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._engine.abort(stream)
                if self._debug:
                    self.call_exception_handler(
                        {
                            "message": "Error on transport creation for incoming connection",
                            "exception": error,
                            "protocol": protocol,
                        }
                    )
                return
            if server is not None:
                self._attach(server, transport)
            try:
                handler.connection_made(transport)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                transport._protocol_failed(error, "Exception in callback connection_made")

        def handshaken(waiter: "asyncio.Future[None]") -> None:
            if not waiter.cancelled() and (error := waiter.exception()) and self._debug:
                self.call_exception_handler(
                    {
                        "message": "Error on transport creation for incoming connection",
                        "exception": error,
                    }
                )

        number = number_of(sock, {})
        copy = os.dup(number)
        try:
            self._listeners[number] = self._engine.listen(copy, accept)
        except BaseException:
            os.close(copy)
            raise

    def _stop_serving(self, sock: socket.socket) -> None:
        listener = self._listeners.pop(sock.fileno(), None)
        if listener is not None and not self.is_closed():
            self._engine.end(listener)
        super()._stop_serving(sock)  # type: ignore[misc]

    # Files.

    async def _sendfile_native(
        self, transp: Any, file: Any, offset: int, count: int | None
    ) -> int:
        try:
            fd = file.fileno()
        except (AttributeError, io.UnsupportedOperation):
            raise asyncio.SendfileNotAvailableError("not a regular file") from None
        try:
            left = os.fstat(fd).st_size - offset
        except OSError:
            raise asyncio.SendfileNotAvailableError("not a regular file") from None
        left = max(left if count is None else min(left, count), 0)
        reads = transp.is_reading()
        transp.pause_reading()
        total = 0
        try:
            while left > total:
                transp._waiter = self.create_future()
                try:
                    sent = transp._send_file(fd, offset + total, left - total)
                except OSError as error:
                    if error.errno == errno.ENODATA:
                        break
                    if total == 0 and error.errno in (errno.EINVAL, errno.ESPIPE):
                        raise asyncio.SendfileNotAvailableError("os.sendfile call failed") from None
                    raise
                total += sent
                if left > total:
                    await transp._waiter
            return total
        finally:
            transp._waiter = None
            if total > 0 and hasattr(file, "seek"):
                file.seek(offset + total)
            if reads:
                transp.resume_reading()


def _set_unless_cancelled(waiter: "asyncio.Future[None]") -> None:
    if not waiter.cancelled():
        waiter.set_result(None)


def new_event_loop() -> EventLoop:
    """A new event loop, for asyncio.Runner's loop_factory."""
    return EventLoop()


if sys.version_info < (3, 14):  # from then on asyncio warns of policies

    __all__ += ["EventLoopPolicy"]

    class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
        """Gives asyncio.run, and all else that asks asyncio for a loop, one of Sluice's."""

        def _loop_factory(self) -> EventLoop:
            return EventLoop()


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
    """asyncio.run on Sluice's event loop."""
    with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
        return runner.run(main)
