"""Port forwarding: the client on a SPDY session, usually tunnelled through a WebSocket.

Each forwarded connection is two SPDY streams with the same requestID: ``error`` (a text when it failed) and ``data``.
Source: k8s.io/client-go/tools/portforward, KEP-4006 (``SPDY/3.1+portforward.k8s.io``).
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from sampan.base.tasks import spawn
from sampan.client.streaming import pipe
from sampan.client.streaming.spdy import FrameReader, SPDYError, SPDYSession
from sampan.client.streaming.websocket import WebSocket, WebSocketBytes

if TYPE_CHECKING:
    from sampan.client.streaming.spdy import SPDYStream

PROTOCOL = "portforward.k8s.io"
TUNNEL_PROTOCOL = "SPDY/3.1+portforward.k8s.io"


class TunnelledSession(SPDYSession):
    """A SPDY client session inside a WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        stream = WebSocketBytes(socket)
        super().__init__(FrameReader(stream.read), stream, server=False)


class PortForwarder:
    """Forwards connections to a pod's ports. `run` must be running."""

    def __init__(self, session: SPDYSession) -> None:
        self._session = session
        self._ids = itertools.count()

    async def run(self) -> None:
        """Serve the session until it ends. Raises SPDYError."""
        await self._session.run()

    @property
    def closed(self) -> bool:
        return self._session.closed

    async def forward(self, port: int, local: tuple[pipe.ByteReader, pipe.ByteWriter]) -> str:
        """Forward one connection to its end; return the error that the node tells, "" for none. Raises SPDYError."""
        if self._session.closed:
            raise SPDYError("lost connection to pod")
        common = {"port": str(port), "requestID": str(next(self._ids))}
        error = self._session.open({"streamtype": "error", **common})
        error.close()
        data = self._session.open({"streamtype": "data", **common})
        await self._session.drain()
        async with asyncio.TaskGroup() as group:
            failure = spawn(group, _read_all(error), name="error")
            sending = spawn(group, _send(local[0], data), name="send")
            await pipe.copy(data, local[1])
            local[1].close()
            sending.cancel()
            text = await failure
        data.reset()
        return text.decode("utf-8", "replace")


async def _send(reader: pipe.ByteReader, stream: SPDYStream) -> None:
    await pipe.copy(reader, stream)
    stream.close()
    await stream.drain()


async def _read_all(stream: SPDYStream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)
