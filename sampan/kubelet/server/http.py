"""The kubelet server's HTTP/1.1: one request after the other on asyncio streams, parsed by httptools.

Small on purpose: its only clients are API servers and scrapers. A handler answers whole, streams a body, or takes the
connection over.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

import httptools

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_HEAD_LIMIT = 64 * 1024
_BODY_LIMIT = 1 << 20
_CHUNK = 65536
_IDLE_SECONDS = 90.0
_REQUEST_SECONDS = 32.0
"""From a request's first byte to its last: nobody holds a connection by sending a byte now and then."""
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class HTTPFault(Exception):
    """Answered with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(slots=True)
class HTTPRequest:
    """One request. headers: names in lower case. peer: the verified client certificate as `ssl` tells it."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: dict[str, object] | None = None

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def parts(self) -> list[str]:
        """The path's segments, each unescaped."""
        return [unquote(part) for part in urlsplit(self.target).path.strip("/").split("/")]

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    def value(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.query if key == name), default)

    def flag(self, name: str) -> bool:
        return self.value(name).lower() in ("1", "t", "true")


class _Parsing:
    """httptools' callbacks for one request."""

    def __init__(self) -> None:
        self.request = HTTPRequest()
        self.parser = httptools.HttpRequestParser(self)
        self.begun = self.headed = self.complete = self.upgrade = False
        self.rest = b""
        self._size = 0

    def on_message_begin(self) -> None:
        if self.complete:
            raise HTTPFault(400, "requests must not be pipelined")

    def on_url(self, url: bytes) -> None:
        self.request.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.headed = True
        self.request.method = self.parser.get_method().decode()

    def on_body(self, body: bytes) -> None:
        self.request.body += body

    def on_message_complete(self) -> None:
        try:
            urlsplit(self.request.target)
        except ValueError as error:
            raise HTTPFault(400, "malformed URL") from error
        self.complete = True

    def feed(self, data: bytes) -> None:
        """Raises HTTPFault."""
        self._size += len(data)
        if self._size > (_BODY_LIMIT if self.headed else _HEAD_LIMIT):
            raise HTTPFault(400, "request too large")
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgrade = self.complete = True
            self.rest = data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as error:
            raise (error.__context__ if isinstance(error.__context__, HTTPFault) else error) from None  # a callback's
        except httptools.HttpParserError as error:
            raise HTTPFault(400, f"malformed request: {error}") from error


class HTTPExchange:
    """A request and the means to answer it."""

    def __init__(self, request: HTTPRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.reader = reader
        self.writer = writer
        self.taken = False
        self.started = False
        self.rest = b""

    def respond(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        """Answer whole."""
        self.started = True
        self.writer.write(_head(status, content_type, f"Content-Length: {len(body)}") + body)

    def start(self, content_type: str = "text/plain", *, close: bool = False) -> None:
        """Begin a streamed answer. close: tell the client that the connection ends with it."""
        self.started = True
        framing = "Transfer-Encoding: chunked"
        self.writer.write(_head(200, content_type, f"{framing}\r\nConnection: close" if close else framing))

    async def write(self, data: bytes) -> None:
        """Send a part of a streamed answer. Raises OSError when the client is gone."""
        if self.writer.is_closing() or self.reader.at_eof():
            raise ConnectionResetError("the client is gone")
        if data:
            self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await self.writer.drain()

    def finish(self) -> None:
        self.writer.write(b"0\r\n\r\n")

    def take_over(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        """Take the connection; the bytes are what the client sent already behind its head."""
        self.taken = True
        return self.reader, self.writer, self.rest


def _head(status: int, content_type: str, framing: str) -> bytes:
    reason = _REASONS.get(status, "Unknown")
    return f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n{framing}\r\n\r\n".encode("latin-1")


async def serve_connection(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    handler: Callable[[HTTPExchange], Awaitable[None]],
) -> None:
    """Serve one connection until it closes or is taken over."""
    try:
        while True:
            parsing = _Parsing()
            parsing.request.peer = writer.get_extra_info("peercert") or None
            try:
                if not await _read_request(reader, parsing):
                    return
                exchange = HTTPExchange(parsing.request, reader, writer)
                exchange.rest = parsing.rest
                await _answer(exchange, handler)
            except HTTPFault as fault:
                writer.write(_head(fault.status, "text/plain", "Connection: close\r\nContent-Length: 0"))
                return
            if exchange.taken or parsing.upgrade or not parsing.parser.should_keep_alive():
                return
            await writer.drain()
    except (OSError, TimeoutError):
        return
    finally:
        with suppress(OSError):
            writer.close()


async def _read_request(reader: asyncio.StreamReader, parsing: _Parsing) -> bool:
    async with asyncio.timeout(_IDLE_SECONDS) as limit:
        while not parsing.complete:
            data = await reader.read(_CHUNK)
            if not data:
                return False
            if not parsing.begun:
                parsing.begun = True
                limit.reschedule(asyncio.get_running_loop().time() + _REQUEST_SECONDS)
            parsing.feed(data)
    return True


async def _answer(exchange: HTTPExchange, handler: Callable[[HTTPExchange], Awaitable[None]]) -> None:
    try:
        await handler(exchange)
    except HTTPFault as fault:
        if exchange.started or exchange.taken:
            raise ConnectionAbortedError from fault
        exchange.respond(fault.status, fault.text.encode())
