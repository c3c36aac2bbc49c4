from __future__ import annotations

import asyncio
import json
from typing import Any

from sampan.client.streaming import portforward, remotecommand
from sampan.client.streaming.spdy import SPDYSession, SPDYStream
from sampan.client.streaming.websocket import WebSocket, accept_key, server_handshake
from tests.unit.client.streaming.test_spdy import Link


def websockets() -> tuple[WebSocket, WebSocket]:
    there, back = Link(), Link()
    return WebSocket(back.reader, there, server=False), WebSocket(there.reader, back, server=True)


def spdy_pair() -> tuple[SPDYSession, SPDYSession]:
    there, back = Link(), Link()
    client = SPDYSession(back.reader, there, server=False)
    return client, SPDYSession(there.reader, back, server=True)


class Input:
    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)

    async def read(self, n: int = -1) -> bytes:
        return self.parts.pop(0) if self.parts else b""


def test_handshake_answers_the_key_of_the_specification() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    answer = server_handshake({"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}, "v5.channel.k8s.io")
    assert b"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n" in answer


async def test_messages_travel_whole_and_close_ends_them() -> None:
    client, server = websockets()
    await client.send(b"a" * 70_000)
    assert await server.receive() == b"a" * 70_000
    await server.close()
    assert await client.receive() is None


async def serve_command(session: SPDYSession, code: int) -> dict[str, bytes]:
    """A runtime: echoes stdin to stdout, says "oops" on stderr, ends with a code. Returns what arrived."""
    streams: dict[str, SPDYStream] = {}
    while len(streams) < 4:
        stream = await session.accept()
        assert stream is not None
        session.reply(stream)
        streams[stream.headers["streamtype"]] = stream
    received = b""
    while data := await streams["stdin"].read():
        received += data
        streams["stdout"].write(data)
    streams["stderr"].write(b"oops")
    cause = {"reason": "ExitCode", "message": str(code)}
    status = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}
    streams["error"].write(json.dumps(status if code else remotecommand.success()).encode())
    for stream in streams.values():
        stream.close()
    return {"stdin": received}


async def test_v5_channels_become_spdy_streams_and_back() -> None:
    client, server = websockets()
    near, far = spdy_pair()
    out: list[bytes] = []
    err: list[bytes] = []
    wanted = {remotecommand.STDIN: True, remotecommand.STDOUT: True, remotecommand.STDERR: True}
    async with asyncio.TaskGroup() as group:
        far_task = group.create_task(far.run())
        runtime = group.create_task(serve_command(far, 7))
        group.create_task(remotecommand.translate(server, near, wanted))
        status: Any = await remotecommand.RemoteCommand(client).run(
            stdin=Input(b"hel", b"lo"), stdout=out.append, stderr=err.append
        )
        assert (await runtime)["stdin"] == b"hello"
        far_task.cancel()
    assert b"".join(out) == b"hello"
    assert b"".join(err) == b"oops"
    assert remotecommand.exit_code(status) == 7


async def test_connection_that_breaks_is_a_failure() -> None:
    client, server = websockets()
    await server.close()
    status = await remotecommand.RemoteCommand(client).run(stdin=None, stdout=print, stderr=print)
    assert remotecommand.exit_code(status) == 1
    assert "connection ended" in status["message"]


async def test_forwarded_connections_are_two_streams_each() -> None:
    near, far = spdy_pair()
    there, back = Link(), Link()

    async def node() -> None:
        for _ in range(2):
            stream = await far.accept()
            assert stream is not None
            assert stream.headers["port"] == "80"
            assert stream.headers["requestid"] == "0"
            if stream.headers["streamtype"] == "data":
                request = await stream.read()
                stream.write(b"re: " + request)
                stream.close()
            else:
                stream.close()

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(near.run()), group.create_task(far.run())]
        group.create_task(node())
        there.write(b"hello")
        error = await portforward.PortForwarder(near).forward(80, (there.reader, back))
        for task in running:
            task.cancel()
    assert error == ""
    assert await back.reader.read() == b"re: hello"
