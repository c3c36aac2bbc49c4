"""A small HTTP/1.1 client: pooled TLS connections, streamed bodies, upgraded connections.

The parser is httptools' (C); the sockets are asyncio's. It is ours because kubectl must start in a quarter of a second
(a general client library takes longer to import than that) and because exec, attach and port-forward need the bare
connection behind an upgrade. It promises: a connection is reused only after its answer was read to the end; a request
is sent a second time only when a pooled connection turned out to be dead before a byte of the answer came and the
method is idempotent. It follows no redirects and knows no proxies.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import httptools

from sampan.client.config import ClientConfig, ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable, Mapping

_CHUNK = 256 * 1024
"""Bytes asked of the socket at once: a list of 5 000 pods is 17 MB, and each read costs a turn of the loop."""

_HEAD_LIMIT = 1 << 20
_POOL_LIMIT = 32
_TOKEN_SECONDS = 10.0
"""How long a token read from a file is used before it is read again; client-go uses the same."""

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class ConnectionClosedError(ConnectionError):
    """The peer closed the connection in the middle of an answer."""


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """A whole answer. headers: names in lower case; repeated ones joined with ``, ``."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    warnings: tuple[str, ...] = ()


class _Answer:
    """Collects one response from the parser's callbacks."""

    __slots__ = (
        "bodiless",
        "complete",
        "headers",
        "headers_complete",
        "keep_alive",
        "parser",
        "parts",
        "status",
        "warnings",
    )

    def __init__(self, *, bodiless: bool = False) -> None:
        self.parser = httptools.HttpResponseParser(self)
        # As Go's client: servers that end lines with a bare LF are understood (many a CGI script does).
        self.parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self.bodiless = bodiless
        self.headers: dict[str, str] = {}
        self.warnings: list[str] = []
        self.parts: list[bytes] = []
        self.status = 0
        self.headers_complete = False
        self.complete = False
        self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key == "warning":
            self.warnings.append(text)
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        if self.status == 100:  # an interim answer: the real one follows on the same connection
            return
        self.headers_complete = True
        if self.bodiless:  # the answer to HEAD: its lengths are those of a body that does not come
            self.complete = True

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        if self.bodiless and self.complete:
            return
        if self.status == 100:
            self.headers.clear()
            return
        self.complete = True
        self.keep_alive = self.parser.should_keep_alive()

    def take(self) -> bytes:
        """Return the body's bytes so far and forget them."""
        data = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts.clear()
        return data


class _Connection:
    """One socket. generation: the TLS settings that it was made with."""

    __slots__ = ("generation", "reader", "used", "writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, generation: int) -> None:
        self.reader = reader
        self.writer = writer
        self.generation = generation
        self.used = False

    @property
    def alive(self) -> bool:
        return not (self.reader.at_eof() or self.writer.is_closing())

    def abort(self) -> None:
        self.writer.transport.abort()

    async def fill(self, answer: _Answer) -> None:
        """Read once from the socket into the answer."""
        data = await self.reader.read(_CHUNK)
        if data:
            answer.parser.feed_data(data)
        elif answer.headers_complete and "content-length" not in answer.headers and not _is_chunked(answer.headers):
            answer.complete = True  # a body without a length ends with the connection
        else:
            raise ConnectionClosedError("the server closed the connection before its answer was complete")


class HTTPClient:
    """Requests to one server as one identity. One event loop, any number of concurrent requests.

    authority: the Host header where it is not the server's address.
    """

    def __init__(self, config: ClientConfig, *, authority: str = "") -> None:
        parts = urlsplit(config.server if "://" in config.server else f"https://{config.server}")
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ConfigError(f"server {config.server!r} is no http or https URL")
        self.config = config
        self.host = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.prefix = parts.path.rstrip("/")
        self._tls = parts.scheme == "https"
        self._authority = authority or parts.netloc.rpartition("@")[2]
        self._idle: deque[_Connection] = deque()
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[float, ...] = ()
        self._generation = 0
        self._token = ""
        self._token_read = float("-inf")
        self._closed = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> HTTPResponse:
        """Send a request and read its whole answer, whatever its status. Raises OSError for network faults."""
        message = self._message(method, path, headers, body, query)
        while True:
            connection = await self._acquire()
            reused = connection.used
            try:
                answer = await self._exchange(connection, message, method)
                while not answer.complete:
                    await connection.fill(answer)
            except (ConnectionError, httptools.HttpParserError) as error:
                connection.abort()
                if reused and method in _IDEMPOTENT and isinstance(error, ConnectionError):
                    continue  # the server had closed the idle connection; each one is tried once
                if isinstance(error, ConnectionError):
                    raise
                raise ConnectionError(f"malformed HTTP answer: {error}") from error
            except BaseException:
                connection.abort()
                raise
            self._release(connection, answer)
            return HTTPResponse(answer.status, answer.headers, answer.take(), tuple(answer.warnings))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> AsyncIterator[HTTPStream]:
        """Send a request and yield the answer with its body still to come.

        The connection ends with the block unless the body was read to its end.
        """
        message = self._message(method, path, headers, body, query)
        connection, answer = await self._begin(method, message)
        try:
            yield HTTPStream(connection, answer)
        except httptools.HttpParserError as error:
            connection.abort()
            raise ConnectionError(f"malformed HTTP answer: {error}") from error
        except BaseException:
            connection.abort()
            raise
        self._release(connection, answer)

    async def upgrade(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Mapping[str, str]] | HTTPResponse:
        """Ask for another protocol on a fresh connection: the bare reader, writer and the 101's headers.

        The caller owns the connection then. Any other answer than 101 comes back as an `HTTPResponse`.
        """
        message = self._message(method, path, headers, b"", query)
        connection = await self._connect()
        try:
            connection.writer.write(message)
            head = await connection.reader.readuntil(b"\r\n\r\n")
            answer = _Answer()
            try:
                answer.parser.feed_data(head)
            except httptools.HttpParserUpgrade:
                return connection.reader, connection.writer, answer.headers
            if answer.parser.get_status_code() == 101:
                return connection.reader, connection.writer, answer.headers
            while not answer.complete:
                await connection.fill(answer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, httptools.HttpParserError) as error:
            connection.abort()
            raise ConnectionClosedError("the server closed the connection before it answered the upgrade") from error
        except BaseException:
            connection.abort()
            raise
        connection.abort()
        return HTTPResponse(answer.status, answer.headers, answer.take(), tuple(answer.warnings))

    async def close(self) -> None:
        """Close the idle connections; those in use close when their request ends."""
        self._closed = True
        idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.writer.close()
        for connection in idle:
            try:
                async with asyncio.timeout(1):
                    await connection.writer.wait_closed()
            except (OSError, TimeoutError):
                connection.abort()

    async def _begin(self, method: str, message: bytes) -> tuple[_Connection, _Answer]:
        """Send a request on a connection that works and read the head of its answer."""
        while True:
            connection = await self._acquire()
            reused = connection.used
            try:
                return connection, await self._exchange(connection, message, method)
            except httptools.HttpParserError as error:
                connection.abort()
                raise ConnectionError(f"malformed HTTP answer: {error}") from error
            except BaseException as error:
                connection.abort()
                if not (reused and method in _IDEMPOTENT and isinstance(error, ConnectionError)):
                    raise  # else the server had closed the idle connection; each one is tried once

    async def _exchange(self, connection: _Connection, message: bytes, method: str) -> _Answer:
        """Send a whole request and read the head of its answer."""
        connection.used = True
        connection.writer.write(message)
        if len(message) > 65536:
            await connection.writer.drain()
        answer = _Answer(bodiless=method == "HEAD")
        while not answer.headers_complete:
            await connection.fill(answer)
        return answer

    async def _acquire(self) -> _Connection:
        if self.config.has_files:
            self._refresh_tls()
        while self._idle:
            connection = self._idle.pop()
            if connection.alive and connection.generation == self._generation:
                return connection
            connection.abort()
        return await self._connect()

    def _release(self, connection: _Connection, answer: _Answer) -> None:
        reusable = answer.complete and answer.keep_alive and connection.alive and not self._closed
        if reusable and len(self._idle) < _POOL_LIMIT:
            self._idle.append(connection)
        else:
            connection.abort()

    async def _connect(self) -> _Connection:
        if not self._tls:
            reader, writer = await asyncio.open_connection(self.host, self.port, limit=_HEAD_LIMIT)
            return _Connection(reader, writer, self._generation)
        if self._context is None:
            self._refresh_tls()
            self._context = self._context or self.config.ssl_context()
        name = self.config.server_name or self.host
        reader, writer = await asyncio.open_connection(
            self.host, self.port, ssl=self._context, server_hostname=name, limit=_HEAD_LIMIT
        )
        return _Connection(reader, writer, self._generation)

    def _refresh_tls(self) -> None:
        """Make new TLS settings when a certificate file changed; connections made with old ones are not reused."""
        stamp = tuple(
            _modified(path)
            for path in (self.config.ca_file, self.config.certificate_file, self.config.key_file)
            if path
        )
        if stamp != self._stamp or self._context is None:
            try:
                context = self.config.ssl_context()
            except ConfigError:
                if self._context is None:
                    raise
                return  # half-written rotation: the next request looks again
            self._context = context
            self._stamp = stamp
            self._generation += 1

    def _bearer(self) -> str:
        config = self.config
        if config.token_file:
            now = time.monotonic()  # the age of a cached file, not a time that tests steer
            if now - self._token_read > _TOKEN_SECONDS:
                try:
                    self._token = Path(config.token_file).read_text().strip()
                    self._token_read = now
                except OSError as error:
                    if not self._token and not config.token:
                        raise ConfigError(f"unable to read token file {config.token_file}: {error.strerror}") from error
            return self._token or config.token
        return config.token

    def _message(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]],
        body: bytes,
        query: Mapping[str, str] | Iterable[tuple[str, str]],
    ) -> bytes:
        target = self.prefix + path
        if pairs := _pairs(query):
            encoded = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in pairs)
            target = f"{target}{'&' if '?' in target else '?'}{encoded}"
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._authority}", f"User-Agent: {self.config.user_agent}"]
        if token := self._bearer():
            lines.append(f"Authorization: Bearer {token}")
        elif self.config.username:
            pair = f"{self.config.username}:{self.config.password}".encode()
            lines.append(f"Authorization: Basic {base64.b64encode(pair).decode()}")
        lines.extend(f"{key}: {value}" for key, value in self.config.impersonate.headers())
        lines.extend(f"{key}: {value}" for key, value in _pairs(headers))
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
            raise ValueError("a request line or header holds a line break")
        return head.encode() + b"\r\n\r\n" + body


class HTTPStream:
    """An answer whose body arrives bit by bit."""

    __slots__ = ("_answer", "_connection", "headers", "status")

    def __init__(self, connection: _Connection, answer: _Answer) -> None:
        self._connection = connection
        self._answer = answer
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; ends with the body. Raises ConnectionClosedError when it is cut short."""
        while True:
            data = self._answer.take()
            if data:
                yield data
            if self._answer.complete:
                return
            await self._connection.fill(self._answer)

    async def read(self) -> bytes:
        """Read the rest of the body."""
        return b"".join([chunk async for chunk in self.chunks()])


def _pairs(items: Mapping[str, str] | Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    return list(items.items()) if hasattr(items, "items") else list(items)


def _is_chunked(headers: Mapping[str, str]) -> bool:
    return "chunked" in headers.get("transfer-encoding", "").lower()


def _modified(path: str) -> float:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0.0
