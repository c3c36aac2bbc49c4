"""The bare limit: a TLS server on the same loop and parser that sends one of two fixed bodies, and does nothing else.

usage: python -m bench.bare CERTIFICATE KEY. Prints its port when it listens on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import cast

import httptools
import uvloop

_SIZES = {b"/one": 3_500, b"/list": 17_000_000}


class _Connection(asyncio.Protocol):
    answers: dict[bytes, bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_message_complete(self) -> None:
        self._transport.write(self.answers[self._path])


async def _main(certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    _Connection.answers = {path: head % size + b"x" * size for path, size in _SIZES.items()}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, ssl=context, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:3]))
