"""A plain HTTP/1.1 client connection: as little as possible, so that the load generator is not what is measured."""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import orjson

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class AnswerError(SampanError):
    """The server answered with an unexpected status."""


class Address:
    """Where the server is, and who asks."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self.token = token
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 443
        self.tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self.tls = ssl.create_default_context()
            self.tls.check_hostname = False
            self.tls.verify_mode = ssl.CERT_NONE  # load is measured, not trust; the token is made for this run

    def head(self, method: str, path: str, length: int, media: str) -> bytes:
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {self.token}\r\n"
            f"Accept: application/json\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()


class Connection:
    """One keep-alive connection."""

    def __init__(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._address = address
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: Address) -> Connection:
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=address.tls)
        return cls(address, reader, writer)

    async def send(
        self, method: str, path: str, body: Any = None, media: str = "application/json"
    ) -> tuple[int, bytes]:
        """Send a request and return status and body."""
        data = b"" if body is None else orjson.dumps(body)
        self._writer.write(self._address.head(method, path, len(data), media) + data)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        answer = await self._reader.readexactly(int(length.group(1))) if length else await self._chunks()
        return int(head[9:12]), answer

    async def must(
        self, *expected: int, method: str, path: str, body: Any = None, media: str = "application/json"
    ) -> bytes:
        """Send a request; raises AnswerError when the status is not one of the expected."""
        status, answer = await self.send(method, path, body, media)
        if status not in expected:
            raise AnswerError(f"{method} {path}: {status} {answer[:300]!r}")
        return answer

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self._reader.readline(), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        return b"".join(parts)

    def close(self) -> None:
        self._writer.close()


class Watch(asyncio.Protocol):
    """Counts the events of one watch in the raw stream. opened: called with the first bytes."""

    _MARK = b'"type":"MODIFIED"'

    def __init__(self, address: Address, path: str, opened: Callable[[], None]) -> None:
        self._request = address.head("GET", path, 0, "application/json")
        self._opened = opened
        self._tail = b""
        self._fresh = True
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._fresh:
            self._fresh = False
            self._opened()
        # A mark split over two reads is found in what joins them: neither part holds it alone.
        rest = len(self._MARK) - 1
        self.count += data.count(self._MARK) + (self._tail + data[:rest]).count(self._MARK)
        self._tail = (self._tail + data)[-rest:] if len(data) < rest else data[-rest:]
