"""Taking over a connection: what connect subresources (exec, attach, portforward, proxy, log) are written on.

A connect handler is a coroutine ``async def handler(exchange: Exchange) -> None``. It runs in a task of its own after
authentication and authorization, and answers in one of three ways:

- `Exchange.respond`: one complete answer; the connection stays usable.
- `Exchange.start` then `Exchange.write` (awaits while the client reads too slowly) and at the end `Exchange.finish`:
  a streamed answer, chunked unless a Content-Length header is given.
- `Exchange.take_over`: the raw connection. Nothing has been answered yet: the handler writes the status line and
  headers itself (``HTTP/1.1 101 Switching Protocols``) and owns reader and writer from then on. Bytes that the client
  sent behind the request head are already in the reader. The connection closes when the handler returns.

A handler that raises `APIStatusError` before it has answered gets that error answered as a Status. When the client goes
away the handler is cancelled; its cleanup must not write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sampan.api.object import Object

    Headers = Sequence[tuple[bytes, bytes]]

_EARLY_LIMIT = 1 << 16
"""Bytes kept for an upgrade under way before the client has to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectTarget:
    """What a connect request is about.

    resource: "pods", "services" or "nodes". name: as in the path (services and nodes: may be ``scheme:name:port``).
    path: what follows the subresource, beginning with "/" or "". object: the current object, shared; None when the
    name is not one of an object. query: as in the URL, unescaped, in order, names may repeat.
    """

    resource: str
    namespace: str
    name: str
    subresource: str
    path: str
    query: Sequence[tuple[str, str]]
    object: Object | None

    def value(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        for key, value in self.query:
            if key == name:
                return value
        return default

    def values(self, name: str) -> list[str]:
        """All values of a query parameter, in order."""
        return [value for key, value in self.query if key == name]


class RawSink(Protocol):
    """Takes the client's bytes once a stream has taken over the connection."""

    def feed_data(self, data: bytes) -> None: ...
    def feed_eof(self) -> None: ...


class EarlyBytes:
    """Keeps what the client sends behind an upgrade request until a stream takes the connection over."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._data: list[bytes] = []
        self._size = 0
        self._ended = False

    def feed_data(self, data: bytes) -> None:
        self._data.append(data)
        self._size += len(data)
        if self._size > _EARLY_LIMIT:
            self._transport.pause_reading()

    def feed_eof(self) -> None:
        self._ended = True

    def hand_over(self, sink: RawSink) -> None:
        if self._size > _EARLY_LIMIT:
            self._transport.resume_reading()
        for data in self._data:
            sink.feed_data(data)
        if self._ended:
            sink.feed_eof()


class RawReader(Protocol):
    """The client's bytes; an `asyncio.StreamReader` has all of it."""

    async def read(self, n: int = -1) -> bytes: ...
    async def readexactly(self, n: int) -> bytes: ...


class RawWriter(Protocol):
    """Bytes to the client; `drain` waits while the client is slow. An `asyncio.StreamWriter` has all of it."""

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


class Exchange(Protocol):
    """One request whose answer a coroutine writes."""

    @property
    def method(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers by lower-case name; repeated ones joined with ", "."""
        ...

    @property
    def user(self) -> Mapping[str, Any]:
        """userInfo: username, uid, groups, extra."""
        ...

    @property
    def target(self) -> ConnectTarget: ...

    def lookup(self, group: str, resource: str, namespace: str, name: str) -> Object | None:
        """Look up another current object (the pod's node, a service's endpoints); shared."""
        ...

    async def body(self) -> bytes:
        """The whole request body, at most 3 MiB; raises RequestEntityTooLarge."""
        ...

    def respond(self, status: int, headers: Headers, body: bytes) -> None: ...
    def start(self, status: int, headers: Headers) -> None: ...
    async def write(self, data: bytes) -> None:
        """Send a part of the body; returns when the client has taken enough of what was sent before."""
        ...

    def finish(self) -> None: ...
    def take_over(self) -> tuple[RawReader, RawWriter]: ...


ConnectHandler = "Callable[[Exchange], Awaitable[None]]"


class Connector(Protocol):
    """Finds the handler of a connect subresource; `sampan.apiserver.proxy` implements it."""

    def handler(self, resource: str, subresource: str) -> Callable[[Exchange], Awaitable[None]] | None:
        """The handler of ("pods", "exec"), ("nodes", "proxy") and so on; None when there is none."""
        ...
