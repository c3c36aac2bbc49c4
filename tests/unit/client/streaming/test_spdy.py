from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

import pytest

from sampan.client.streaming.spdy import DICTIONARY, HeaderCodec, SPDYError, SPDYSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Link:
    """A writer whose bytes the other side reads."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.closed = False

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.reader.feed_data(data)

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.reader.feed_eof()


@pytest.fixture
async def sessions() -> AsyncIterator[tuple[SPDYSession, SPDYSession]]:
    there, back = Link(), Link()
    client = SPDYSession(back.reader, there, server=False)
    server = SPDYSession(there.reader, back, server=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(client.run())
        group.create_task(server.run())
        yield client, server
        there.close()
        back.close()


def test_dictionary_is_the_one_that_everybody_uses() -> None:
    # The checksum that moby/spdystream's deflate streams begin with.
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_headers_survive_and_later_blocks_need_the_earlier_ones() -> None:
    writer, reader = HeaderCodec(), HeaderCodec()
    for headers in ({"streamtype": "stdin"}, {"streamtype": "stdin", "port": "80"}, {}):
        assert reader.decode(writer.encode(headers)) == headers
    with pytest.raises(SPDYError):
        reader.decode(b"nonsense")


async def test_streams_carry_bytes_both_ways_and_end_separately(sessions: tuple[SPDYSession, SPDYSession]) -> None:
    client, server = sessions
    stream = client.open({"StreamType": "data"})
    peer = await server.accept()
    assert peer is not None
    assert peer.headers == {"streamtype": "data"}
    server.reply(peer)
    await stream.wait_replied()
    stream.write(b"x" * 100_000)
    stream.close()
    received = b""
    while data := await peer.read():
        received += data
    assert len(received) == 100_000
    peer.write(b"answer")
    peer.close()
    assert await stream.read() == b"answer"
    assert await stream.read() == b""


async def test_ping_is_answered_and_reset_ends_a_stream(sessions: tuple[SPDYSession, SPDYSession]) -> None:
    client, server = sessions
    stream = client.open({})
    peer = await server.accept()
    assert peer is not None
    client._control(6, 0, b"\0\0\0\1")
    peer.reset()
    assert await stream.read() == b""


async def test_end_of_the_connection_ends_all_streams() -> None:
    link = Link()
    session = SPDYSession(link.reader, Link(), server=False)
    stream = session.open({})
    link.close()
    await session.run()
    assert session.closed
    assert await stream.read() == b""
    with pytest.raises(SPDYError):
        await stream.wait_replied()
    assert await session.accept() is None
