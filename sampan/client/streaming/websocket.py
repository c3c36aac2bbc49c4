"""WebSocket connections on raw streams: the handshakes of both sides and whole messages. Frames are wsproto's work."""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.client.streaming.pipe import ByteReader, ByteWriter

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CHUNK = 65536
_MESSAGE_LIMIT = 32 << 20
"""The largest message taken (golang.org/x/net/websocket's default)."""


class WebSocketError(SampanError):
    """The peer broke the protocol, or the handshake failed."""


def accept_key(key: str) -> str:
    """Compute Sec-WebSocket-Accept (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def client_headers(protocols: Sequence[str]) -> list[tuple[str, str]]:
    """Build the headers of an upgrade request."""
    return [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
        ("Sec-WebSocket-Protocol", ", ".join(protocols)),
    ]


def offered_protocols(headers: Mapping[str, str]) -> list[str]:
    """List what a client's upgrade request offers. headers: names in lower case."""
    return [text.strip() for text in headers.get("sec-websocket-protocol", "").split(",") if text.strip()]


def is_upgrade(headers: Mapping[str, str]) -> bool:
    """Tell whether a request asks for a WebSocket. headers: names in lower case."""
    return headers.get("upgrade", "").lower() == "websocket" and "upgrade" in headers.get("connection", "").lower()


def server_handshake(headers: Mapping[str, str], protocol: str) -> bytes:
    """Build the 101 answer to a client's upgrade request."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(headers.get('sec-websocket-key', ''))}",
    ]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class WebSocket:
    """An open WebSocket. One reader and any number of senders."""

    def __init__(self, reader: ByteReader, writer: ByteWriter, *, server: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = Connection(ConnectionType.SERVER if server else ConnectionType.CLIENT)
        self._messages: list[bytes] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._closed = False

    async def receive(self) -> bytes | None:
        """Return the next message, text as its bytes; None at the end. Raises WebSocketError."""
        while not self._messages:
            if self._closed:
                return None
            try:
                data = await self._reader.read(_CHUNK)
            except OSError:
                data = b""
            if not data:
                self._closed = True
                return None
            await self._take(data)
        return self._messages.pop(0)

    async def _take(self, data: bytes) -> None:
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                if isinstance(event, BytesMessage | TextMessage):
                    part = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
                    self._parts.append(part)
                    self._size += len(part)
                    if self._size > _MESSAGE_LIMIT:
                        raise WebSocketError(f"WebSocket message is longer than {_MESSAGE_LIMIT} bytes")
                    if event.message_finished:
                        self._messages.append(b"".join(self._parts))
                        self._parts.clear()
                        self._size = 0
                elif isinstance(event, Ping):
                    await self._write(self._frames.send(event.response()))
                elif isinstance(event, CloseConnection):
                    self._closed = True
                    with suppress(LocalProtocolError):
                        await self._write(self._frames.send(event.response()))
        except RemoteProtocolError as error:
            raise WebSocketError(f"malformed WebSocket frame: {error}") from error

    async def send(self, message: bytes) -> None:
        """Send a binary message; waits while the peer is slow. Does nothing when the connection has ended."""
        with suppress(LocalProtocolError):
            await self._write(self._frames.send(BytesMessage(data=message)))

    async def _write(self, data: bytes) -> None:
        with suppress(OSError):
            self._writer.write(data)
            await self._writer.drain()

    async def close(self, code: int = 1000) -> None:
        """Send a close frame and close the connection. Idempotent."""
        if not self._closed:
            self._closed = True
            with suppress(LocalProtocolError):
                await self._write(self._frames.send(CloseConnection(code=code)))
        with suppress(OSError):
            self._writer.close()


class WebSocketBytes:
    """A byte stream made of binary messages: how SPDY is tunnelled."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._out: list[bytes] = []

    async def read(self, n: int = -1) -> bytes:
        """Return the next message's bytes, whatever n is; b"" at the end."""
        del n
        while (message := await self._socket.receive()) is not None:
            if message:
                return message
        return b""

    def write(self, data: bytes) -> None:
        self._out.append(data)

    async def drain(self) -> None:
        data, self._out = b"".join(self._out), []
        if data:
            await self._socket.send(data)

    def close(self) -> None:
        """The socket is closed by its owner, who can wait for it."""
