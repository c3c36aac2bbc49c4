"""One client connection: parsing, keep-alive, pipelining, limits, backpressure.

An `asyncio.Protocol` on the C parser of httptools. The service answers a request in one of three ways: with bytes
(reads: no task, no coroutine), with an awaitable of bytes (writes), or with a `Stream` that writes on its own (watches,
connect subresources). Requests that a client pipelines are answered in order, once it has taken the answers to those
before. Limits: a head of 1 MiB in at most 4096 pieces, a body of 3 MiB (kube-apiserver's; 64 KiB of strangers),
32 s for a head, 60 s for a body, 90 s idle or without taking any of a long answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import unquote

import httptools

from sampan.apiserver.http import response
from sampan.apiserver.http.head import Head
from sampan.apiserver.http.upgrade import EarlyBytes

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sampan.apiserver.http.hub import Hub
    from sampan.apiserver.http.upgrade import RawSink

HEAD_LIMIT = 1 << 20
BODY_LIMIT = 3 << 20
HEAD_SECONDS = 32.0
BODY_SECONDS = 60.0
IDLE_SECONDS = 90.0
STALL_SECONDS = 90.0
STRANGER_LIMIT = 1 << 16
"""Body of a request that carries no valid credentials: nobody fills the memory before it is known who he is."""
_HEAD_PIECES = 4096
"""Pieces that a head may come in: each costs time that grows with the head, and clients send it in a few."""
_PIPELINED = 16
"""Requests read ahead of the one being answered; then reading pauses."""
_SLICE = 1 << 19
"""A long answer is handed to TLS in pieces of this size, so that other connections get their turn in between."""

TOO_LARGE = "limit is 3145728"


class HTTPRequest:
    """One request as the service sees it. too_large: the body went over the limit and is not there."""

    __slots__ = ("body", "connection", "head", "too_large", "upgrade")

    def __init__(
        self, head: Head, body: bytes, connection: Connection, *, too_large: bool = False, upgrade: bool = False
    ) -> None:
        self.head = head
        self.body = body
        self.connection = connection
        self.too_large = too_large
        self.upgrade = upgrade


class Stream(Protocol):
    """An answer that goes on: it writes to the connection until it calls `Connection.finish` or the client leaves."""

    def begin(self, connection: Connection) -> None:
        """Write the head and whatever there is."""
        ...

    def resumed(self) -> None:
        """The client has taken enough that writing makes sense again (`Connection.paused` is false)."""
        ...

    def lost(self) -> None:
        """The connection is gone: release everything, write nothing."""
        ...


class Service(Protocol):
    """Answers requests; never raises."""

    def serve(self, request: HTTPRequest) -> bytes | Awaitable[bytes] | Stream: ...

    def knows(self, head: Head, connection: Connection) -> bool:
        """Whether somebody with valid credentials sends this; asked while a long body is still coming."""
        ...


class Connection(asyncio.Protocol):
    """See the module."""

    __slots__ = (
        "_body",
        "_body_size",
        "_busy",
        "_expects",
        "_head_size",
        "_headers",
        "_hub",
        "_keep_alive",
        "_large",
        "_parsed",
        "_parser",
        "_pieces",
        "_queue",
        "_raw",
        "_reading",
        "_repeated",
        "_since",
        "_stranger",
        "_stream",
        "_url",
        "closed",
        "paused",
        "peer",
        "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[HTTPRequest] = deque()
        self._raw: RawSink | None = None
        self._stream: Stream | None = None
        self._large: memoryview | None = None
        self._busy = False
        self._reading = False
        self._keep_alive = True
        self._parsed: Head | None = None
        self._reset()
        self.paused = False
        self.closed = False
        self.peer: Any = None
        """What authentication has derived from the client certificate; None until it looked."""

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._repeated: dict[str, list[str]] | None = None
        self._head_size = 0
        self._pieces = 0
        self._stranger = False
        self._body: bytes | bytearray = b""
        self._body_size = 0
        self._expects = False

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._since = self._hub.now()
        self._hub.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._raw is not None:
            self._raw.feed_data(data)
            return
        fresh = not self._reading and not self._busy
        if fresh and data.startswith(b"GET ") and data.endswith(b"\r\n\r\n"):
            found = self._hub.heads.get(data)
            if found is not None:
                self._serve(HTTPRequest(found, b"", self))
                return
            self._parsed = None
            self._feed(data)
            parsed = self._parsed
            plain = parsed is not None and not self._reading and "upgrade" not in parsed.headers
            if plain and parsed is not None and data.count(b"\r\n\r\n") == 1:
                self._hub.heads.add(data, parsed)
            return
        self._feed(data)

    def eof_received(self) -> bool:
        if self._raw is not None:
            self._raw.feed_eof()
        return False  # TLS knows no half-closed connections

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed = True
        self._hub.forget(self)
        self._queue.clear()
        self._large = None
        if self._raw is not None:
            self._raw.feed_eof()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.lost()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self._large is not None:
            self._continue_large()
        elif self._stream is not None:
            self._stream.resumed()
        else:
            self._next()

    # -- httptools callbacks

    def on_message_begin(self) -> None:
        self._reading = True
        self._since = self._hub.now()
        self._reset()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        known = self._headers.setdefault(key, text)
        if known is not text:
            if self._repeated is None:
                self._repeated = {}
            self._repeated.setdefault(key, [known]).append(text)
        self._grow(len(name) + len(value) + 4)

    def _grow(self, size: int) -> None:
        self._head_size += size
        if self._head_size > HEAD_LIMIT:
            self._refuse(431)
            raise OverflowError  # ends the parser's work on what has come already

    def on_headers_complete(self) -> None:
        self._since = self._hub.now()
        if self._repeated is not None:
            for key, values in self._repeated.items():
                self._headers[key] = ", ".join(values)
        if self._headers.get("expect", "").lower() == "100-continue" and not self._busy:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        before, self._body_size = self._body_size, self._body_size + len(body)
        if before <= STRANGER_LIMIT < self._body_size:
            self._stranger = not self._hub.service.knows(Head("POST", "/", "", self._headers, keep_alive=True), self)
        if self._stranger or self._body_size > BODY_LIMIT:
            self._body = b""
        elif not before:
            self._body = body
        else:
            if type(self._body) is bytes:
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        self._reading = False
        method = self._parser.get_method().decode("latin-1")
        path, _, query = self._url.decode("latin-1").partition("?")
        if not path.startswith("/"):  # absolute form
            path = "/" + path.partition("://")[2].partition("/")[2]
        keep_alive = self._parser.should_keep_alive()
        path = unquote(path) if "%" in path else path
        head = self._parsed = Head(method, path, query, self._headers, keep_alive=keep_alive)
        body = bytes(self._body) if self._body else b""
        too_large = self._stranger or self._body_size > BODY_LIMIT
        self._serve(HTTPRequest(head, body, self, too_large=too_large, upgrade=self._parser.should_upgrade()))

    # -- requests

    def _feed(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._pieces += 1
        if self._pieces > _HEAD_PIECES and self._reading and not self._body_size:
            self._refuse(431)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._raw is not None:
                if rest:
                    self._raw.feed_data(rest)
                return
            self._parser = httptools.HttpRequestParser(self)  # the service ignored the upgrade
            if rest and not self.closed:
                self._feed(rest)
        except httptools.HttpParserError:
            if not self.closed:
                self._refuse(400)

    def _refuse(self, status: int) -> None:
        """Answer what is no HTTP, and hang up."""
        if self.closed or self.transport.is_closing():
            return
        body = response.STATUS_LINES[status].partition(b" ")[2].strip()
        answer = response.Response(status, body, (response.TEXT_TYPE,))
        self.transport.write(answer.encode(close=True))
        self.transport.close()

    def _serve(self, request: HTTPRequest) -> None:
        if self._busy or self.paused:
            self._queue.append(request)
            if len(self._queue) >= _PIPELINED:
                self.transport.pause_reading()
            return
        self._keep_alive = request.head.keep_alive
        result = self._hub.service.serve(request)
        if type(result) is bytes:
            self._answer(result)
            return
        self._busy = True
        if hasattr(result, "begin"):
            self._stream = cast("Stream", result)
            if request.upgrade:
                self._raw = EarlyBytes(self.transport)
            self._stream.begin(self)
        else:
            self._hub.spawn(self._wait(cast("Awaitable[bytes]", result)), "request")

    async def _wait(self, result: Awaitable[bytes]) -> None:
        answer = await result
        if self.closed:
            return
        self._busy = False
        self._answer(answer)
        self._next()

    def _answer(self, answer: bytes) -> None:
        if len(answer) > _SLICE:
            self._busy = True
            self._large = memoryview(answer)
            self._continue_large()
            return
        self.transport.write(answer)
        self._since = self._hub.now()
        if not self._keep_alive:
            self.transport.close()

    def _continue_large(self) -> None:
        rest = self._large
        if rest is None or self.paused or self.closed:
            return
        self.transport.write(rest[:_SLICE])
        self._since = self._hub.now()
        if len(rest) > _SLICE:
            self._large = rest[_SLICE:]
            if not self.paused:
                self._hub.loop.call_soon(self._continue_large)
            return
        self._large = None
        self.done()

    def _next(self) -> None:
        """Serve what the client pipelined meanwhile."""
        while self._queue and not self._busy and not self.paused and not self.transport.is_closing():
            request = self._queue.popleft()
            if len(self._queue) == _PIPELINED - 1:
                self.transport.resume_reading()
            self._serve(request)

    # -- for streams

    def start_chunked(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Begin a chunked answer."""
        self.transport.write(response.head(status, headers, length=None))

    def finish(self) -> None:
        """End a chunked answer; the connection goes on with the next request."""
        if not self.closed:
            self.transport.write(b"0\r\n\r\n")
            self.done()

    def done(self) -> None:
        """The answer is complete."""
        self._stream = None
        self._busy = False
        self._since = self._hub.now()
        if not self._keep_alive or self._raw is not None:
            self.transport.close()
        else:
            self._next()

    def take_over(self, sink: RawSink) -> None:
        """Send the client's bytes to sink from now on, those that it has sent already first."""
        early, self._raw = self._raw, sink
        if isinstance(early, EarlyBytes):
            early.hand_over(sink)

    def spawn(self, coro: Any, name: str) -> asyncio.Task[Any]:
        """Run a coroutine of this connection's stream in the server's task group."""
        return self._hub.spawn(coro, name)

    # -- for the hub

    def stop(self) -> None:
        """The server stops: a stream that can end by itself does, an idle connection closes."""
        end = getattr(self._stream, "end", None)
        self._keep_alive = False
        if end is not None:
            end()
        elif not self._busy:
            self.transport.close()

    def overdue(self, now: float) -> bool:
        """Whether the client keeps the connection without using it (slow-loris, forgotten keep-alive, not reading)."""
        if self._large is not None:
            return now - self._since > STALL_SECONDS
        if self._busy or self._raw is not None:
            return False
        if self._reading:
            return now - self._since > (BODY_SECONDS if self._headers and self._body_size else HEAD_SECONDS)
        return now - self._since > IDLE_SECONDS

    @property
    def hub(self) -> Hub:
        """All connections of the server."""
        return self._hub

    @property
    def busy(self) -> bool:
        return self._busy
