"""Remote commands (exec, attach): the channels, the exit status, the client, and v5 translated to SPDY.

Channels (Kubernetes' remotecommand v5): 0 stdin, 1 stdout, 2 stderr, 3 error (a Status at the end), 4 resize; a message
is the channel's byte and the data; ``255, channel`` says that the sender ends that channel. SPDY (v4): one stream a
channel, named by its ``streamtype`` header. Source: k8s.io/apimachinery/pkg/util/remotecommand, KEP-4006.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from sampan.base.tasks import spawn
from sampan.client.streaming.spdy import SPDYError, SPDYSession, SPDYStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from sampan.api.object import Object
    from sampan.client.streaming.pipe import ByteReader
    from sampan.client.streaming.websocket import WebSocket

V4 = "v4.channel.k8s.io"
V5 = "v5.channel.k8s.io"
PROTOCOL_HEADER = "X-Stream-Protocol-Version"

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_NAMES = {STDIN: "stdin", STDOUT: "stdout", STDERR: "stderr", ERROR: "error", RESIZE: "resize"}
_CHUNK = 32 * 1024


def exit_code(status: Object) -> int:
    """Read a command's exit code from the error channel's Status; 1 when it failed without one."""
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            with suppress(ValueError):
                return int(cause.get("message", ""))
    return 1


def success() -> Object:
    return {"metadata": {}, "status": "Success"}


class RemoteCommand:
    """The client's side of a command over WebSocket v5."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def run(
        self,
        *,
        stdin: ByteReader | None,
        stdout: Callable[[bytes], None],
        stderr: Callable[[bytes], None],
        resizes: AsyncIterator[tuple[int, int]] | None = None,
    ) -> Object:
        """Carry the streams until the command ends; return its Status. resizes: (columns, rows).

        Without an answer on the error channel the connection broke: a Failure Status says so.
        """
        status: Object = {"status": "Failure", "message": "the connection ended before the command did"}
        async with asyncio.TaskGroup() as group:
            tasks = []
            if stdin is not None:
                tasks.append(spawn(group, self._send_input(stdin), name="stdin"))
            if resizes is not None:
                tasks.append(spawn(group, self._send_sizes(resizes), name="resize"))
            while (message := await self._socket.receive()) is not None:
                if not message:
                    continue
                channel, data = message[0], message[1:]
                if channel == STDOUT and data:
                    stdout(data)
                elif channel == STDERR and data:
                    stderr(data)
                elif channel == ERROR and data:
                    status = json.loads(data)
            for task in tasks:
                task.cancel()
        await self._socket.close()
        return status

    async def _send_input(self, stdin: ByteReader) -> None:
        while data := await stdin.read(_CHUNK):
            await self._socket.send(bytes([STDIN]) + data)
        await self._socket.send(bytes([CLOSE, STDIN]))

    async def _send_sizes(self, sizes: AsyncIterator[tuple[int, int]]) -> None:
        async for width, height in sizes:
            await self._socket.send(bytes([RESIZE]) + json.dumps({"Width": width, "Height": height}).encode())


def open_streams(session: SPDYSession, wanted: Mapping[int, bool]) -> dict[int, SPDYStream]:
    """Open the SPDY streams of a command: error always, the others as wanted."""
    return {
        channel: session.open({"streamtype": name})
        for channel, name in _NAMES.items()
        if channel == ERROR or wanted.get(channel)
    }


async def translate(socket: WebSocket, session: SPDYSession, wanted: Mapping[int, bool]) -> None:
    """Carry a v5 WebSocket's channels over a SPDY session to a runtime, until the command ends or the client goes."""
    streams = open_streams(session, wanted)
    async with asyncio.TaskGroup() as group:
        reading = spawn(group, _run_session(session), name="spdy")
        outputs = [
            spawn(group, _forward(streams[channel], channel, socket), name=f"channel {channel}")
            for channel in (STDOUT, STDERR, ERROR)
            if channel in streams
        ]
        inputs = spawn(group, _receive(socket, streams), name="input")
        ended = spawn(group, _all(outputs), name="outputs")
        await asyncio.wait({ended, inputs}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            await socket.close()
        for task in (*outputs, inputs, ended, reading):
            task.cancel()


async def _run_session(session: SPDYSession) -> None:
    with suppress(SPDYError):
        await session.run()


async def _all(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)


async def _forward(stream: SPDYStream, channel: int, socket: WebSocket) -> None:
    while data := await stream.read(_CHUNK):
        await socket.send(bytes([channel]) + data)


async def _receive(socket: WebSocket, streams: Mapping[int, SPDYStream]) -> None:
    while (message := await socket.receive()) is not None:
        if not message:
            continue
        if message[0] == CLOSE and len(message) > 1:
            if (stream := streams.get(message[1])) is not None:
                stream.close()
                await stream.drain()
        elif (stream := streams.get(message[0])) is not None and message[0] in (STDIN, RESIZE):
            stream.write(message[1:])
            await stream.drain()
