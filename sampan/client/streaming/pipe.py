"""Copying bytes between two connections until both directions have ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from sampan.base.tasks import spawn

_CHUNK = 65536


class ByteReader(Protocol):
    """An `asyncio.StreamReader` or what looks like one."""

    async def read(self, n: int = -1) -> bytes: ...


class ByteWriter(Protocol):
    """An `asyncio.StreamWriter` or what looks like one."""

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


async def copy(reader: ByteReader, writer: ByteWriter) -> None:
    """Copy to the end of reader; errors of either side end the copy."""
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def join(
    left: tuple[ByteReader, ByteWriter], right: tuple[ByteReader, ByteWriter], *, linger: float = 1.0
) -> None:
    """Copy both ways until one side ends; what the other still sends is carried on for linger seconds."""
    try:
        await _join(left, right, linger)
    finally:
        for _, writer in (left, right):
            with suppress(OSError):
                writer.close()


async def _join(left: tuple[ByteReader, ByteWriter], right: tuple[ByteReader, ByteWriter], linger: float) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = {
            spawn(group, copy(left[0], right[1]), name="pipe right"),
            spawn(group, copy(right[0], left[1]), name="pipe left"),
        }
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if pending:
            # The side that ended has nothing more to say, but may still want to hear (the exit status).
            _, pending = await asyncio.wait(pending, timeout=linger)
        for task in pending:
            task.cancel()
