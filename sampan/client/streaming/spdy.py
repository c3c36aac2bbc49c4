"""SPDY/3.1 framing and sessions, as far as Kubernetes' remote command and port forwarding use it.

Control frames: SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE. Header blocks are
zlib-compressed with SPDY's dictionary, one compressor a direction. Neither moby/spdystream (containerd, kubelet,
kubectl) nor this module enforces flow-control windows; WINDOW_UPDATE frames are read and ignored. Source: SPDY protocol
draft 3.1.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from typing import TYPE_CHECKING

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.client.streaming.pipe import ByteWriter

_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age
allow authorization cache-control connection content-base content-encoding content-language content-length
content-location content-md5 content-range content-type date etag expect expires from host if-match
if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade
user-agent vary via warning www-authenticate method get status
""".split()  # noqa: SIM905 - as a list of literals it would fill a page
_TAIL = (
    "version\0\0\0\x08HTTP/1.1\0\0\0\x03url\0\0\0\x06public\0\0\0\x0aset-cookie\0\0\0\x0akeep-alive\0\0\0\x06origin"
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug "
    "Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    """Build the dictionary of the specification, section 2.6.10.1: length-prefixed words, then one run of text."""
    head = b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS)
    fixed = struct.pack(">I", 6) + b"200 OK" + struct.pack(">I", 7)
    return head + fixed + _TAIL.encode("latin-1")


DICTIONARY = _dictionary()

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FLAG_FIN = 1
_VERSION = 0x8003
_FRAME_LIMIT = 1 << 24
_CHUNK = 32 * 1024
_BUFFERED = 1 << 20
"""Bytes a stream holds for a slow reader before the whole connection waits."""


class SPDYError(SampanError):
    """The peer broke the protocol or the connection ended."""


class HeaderCodec:
    """Compresses and decompresses the header blocks of one connection."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(9, zlib.DEFLATED, 11, zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def encode(self, headers: Mapping[str, str]) -> bytes:
        """Names go in lower case."""
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name.lower(), value):
                data = text.encode("latin-1")
                block += struct.pack(">I", len(data)) + data
        return self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def decode(self, block: bytes) -> dict[str, str]:
        """Raises SPDYError."""
        try:
            data = self._inflate.decompress(block, _FRAME_LIMIT)
            count, position = struct.unpack_from(">I", data)[0], 4
            texts = []
            for _ in range(2 * count):
                size = struct.unpack_from(">I", data, position)[0]
                position += 4
                texts.append(data[position : position + size].decode("latin-1"))
                position += size
        except (zlib.error, struct.error) as error:
            raise SPDYError(f"malformed SPDY header block: {error}") from error
        return dict(zip(texts[::2], texts[1::2], strict=True))


class SPDYStream:
    """One stream. Reading: `read` gives b"" at the end. Writing: `write`, then `close_write`."""

    def __init__(self, session: SPDYSession, stream_id: int, headers: Mapping[str, str]) -> None:
        self.session = session
        self.id = stream_id
        self.headers = headers
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._replied = asyncio.Event()
        self._write_closed = False

    async def wait_replied(self) -> None:
        """Return when the peer has accepted the stream. Raises SPDYError when the connection ended first."""
        await self._replied.wait()
        if self.session.closed and self._ended:
            raise SPDYError("the connection ended before the stream was accepted")

    async def read(self, n: int = -1) -> bytes:
        """Return the next bytes, at most n; b"" at the end of the stream."""
        while not self._parts:
            if self._ended:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = b"".join(self._parts)
        self._parts.clear()
        if 0 <= n < len(data):
            self._parts.append(data[n:])
            data = data[:n]
        self._size -= len(data)
        if self._size < _BUFFERED:
            self._room.set()
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes; `drain` waits while the connection is slow."""
        if self._write_closed or self.session.closed:
            return
        for start in range(0, len(data), _CHUNK):
            self.session.send_data(self.id, data[start : start + _CHUNK])

    async def drain(self) -> None:
        await self.session.drain()

    def close(self) -> None:
        """End writing: half-close. Idempotent."""
        if not self._write_closed and not self.session.closed:
            self._write_closed = True
            self.session.send_data(self.id, b"", fin=True)

    def reset(self) -> None:
        """Give the stream up, both ways."""
        if not self.session.closed:
            self.session.send_reset(self.id)
        self._write_closed = True
        self.end()

    # What the session tells

    async def feed(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        self._arrived.set()
        if self._size >= _BUFFERED:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        self._ended = True
        self._arrived.set()
        self._room.set()
        self._replied.set()

    def accept(self) -> None:
        self._replied.set()


class SPDYSession:
    """One connection. `run` reads frames until it ends; streams that the peer opens come from `accept`."""

    def __init__(self, reader: asyncio.StreamReader | FrameReader, writer: ByteWriter, *, server: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._codec = HeaderCodec()
        self._next_id = 2 if server else 1
        self._last_id = 0
        self._streams: dict[int, SPDYStream] = {}
        self._incoming: asyncio.Queue[SPDYStream | None] = asyncio.Queue()
        self.closed = False

    def open(self, headers: Mapping[str, str]) -> SPDYStream:
        """Open a stream."""
        stream = SPDYStream(self, self._next_id, headers)
        self._next_id += 2
        self._streams[stream.id] = stream
        block = self._codec.encode(headers)
        self._control(SYN_STREAM, 0, struct.pack(">IIH", stream.id, 0, 0) + block)
        return stream

    async def accept(self) -> SPDYStream | None:
        """Return the next stream that the peer opened; None when the connection has ended."""
        return await self._incoming.get()

    def reply(self, stream: SPDYStream) -> None:
        """Accept a stream that the peer opened."""
        self._control(SYN_REPLY, 0, struct.pack(">I", stream.id) + self._codec.encode({}))

    async def run(self) -> None:
        """Read frames until the connection ends. Raises SPDYError when the peer breaks the protocol."""
        try:
            while True:
                head = await self._reader.readexactly(8)
                first, second = struct.unpack(">II", head)
                length = second & 0xFFFFFF
                payload = await self._reader.readexactly(length) if length else b""
                if first & 0x80000000:
                    self._handle_control(first & 0xFFFF, second >> 24, payload)
                else:
                    await self._handle_data(first & 0x7FFFFFFF, second >> 24, payload)
        except struct.error as error:
            raise SPDYError(f"malformed SPDY frame: {error}") from error
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self.shut()

    def shut(self) -> None:
        """Mark everything as ended; the connection itself is the caller's."""
        self.closed = True
        for stream in self._streams.values():
            stream.end()
        self._incoming.put_nowait(None)

    def send_data(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        flags = FLAG_FIN if fin else 0
        self._writer.write(struct.pack(">II", stream_id, flags << 24 | len(data)) + data)

    def send_reset(self, stream_id: int) -> None:
        self._control(RST_STREAM, 0, struct.pack(">II", stream_id, 5))
        self._streams.pop(stream_id, None)

    def goaway(self) -> None:
        """Tell the peer that no more streams come."""
        self._control(GOAWAY, 0, struct.pack(">II", self._last_id, 0))

    async def drain(self) -> None:
        await self._writer.drain()

    def _control(self, kind: int, flags: int, payload: bytes) -> None:
        head = struct.pack(">HHI", _VERSION, kind, flags << 24 | len(payload))
        self._writer.write(head + payload)

    async def _handle_data(self, stream_id: int, flags: int, payload: bytes) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if payload:
            await stream.feed(payload)
        if flags & FLAG_FIN:
            self._ended(stream)

    def _ended(self, stream: SPDYStream) -> None:
        """The peer sends no more on a stream: what comes for it is ignored from now on, and it is forgotten."""
        stream.end()
        self._streams.pop(stream.id, None)

    def _handle_control(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == SYN_STREAM:
            self._opened(flags, payload)
        elif kind == SYN_REPLY:
            # The block must be decoded even when nobody wants it: the decompressor's state goes on.
            self._codec.decode(payload[4:])
            if (stream := self._stream(payload)) is not None:
                stream.accept()
                if flags & FLAG_FIN:
                    self._ended(stream)
        elif kind == HEADERS:
            self._codec.decode(payload[4:])
        elif kind == RST_STREAM:
            if (stream := self._stream(payload)) is not None:
                self._ended(stream)
        elif kind == PING and struct.unpack_from(">I", payload)[0] % 2 == self._next_id % 2:
            return  # the answer to a ping of our own: ids have the parity of their sender's streams
        elif kind == PING:
            self._control(PING, 0, payload)

    def _stream(self, payload: bytes) -> SPDYStream | None:
        return self._streams.get(struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF)

    def _opened(self, flags: int, payload: bytes) -> None:
        stream_id = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
        stream = SPDYStream(self, stream_id, self._codec.decode(payload[10:]))
        self._streams[stream_id] = stream
        self._last_id = max(self._last_id, stream_id)
        if flags & FLAG_FIN:
            self._ended(stream)
        self._incoming.put_nowait(stream)


class FrameReader:
    """Reads exactly so many bytes from something that has only `read`: a tunnel's messages."""

    def __init__(self, read: object) -> None:
        self._read = read
        self._rest = b""

    async def readexactly(self, n: int) -> bytes:
        while len(self._rest) < n:
            data: bytes = await self._read()  # type: ignore[operator]
            if not data:
                raise asyncio.IncompleteReadError(self._rest, n)
            self._rest += data
        data, self._rest = self._rest[:n], self._rest[n:]
        return data
