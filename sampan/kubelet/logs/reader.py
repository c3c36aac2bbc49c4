"""Reading a container's log: the CRI log format, tail, since, timestamps, byte limit, following through rotation.

A line is ``<RFC 3339 time> <stdout|stderr> <P|F> <text>``; P says that the line goes on in the next record. Source:
KEP-less "CRI container log format", kubelet's kuberuntime/logs/logs.go.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from sampan.api import times
from sampan.kubelet.logs.inotify import CREATE, DELETE_SELF, MODIFY, MOVE_SELF, MOVED_TO, Inotify

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from pathlib import Path

_BLOCK = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """v1.PodLogOptions.

    tail: lines, None for all. since: epoch seconds, 0 for all. limit: bytes, None for all. stream: "All", "Stdout" or
    "Stderr".
    """

    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: float = 0.0
    limit: int | None = None
    stream: str = "All"


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Find where the last so many lines begin."""
    end = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    position, newlines = end, 0
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        index = len(block)
        while (index := block.rfind(b"\n", 0, index)) >= 0:
            if position + index == end - 1:
                continue
            newlines += 1
            if newlines == lines:
                return position + index + 1
    return 0


class _Filter:
    """Turns log records into what the client is to see; remembers how many bytes it may still see."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._left = options.limit
        self._stream = {"Stdout": b"stdout", "Stderr": b"stderr"}.get(options.stream)

    @property
    def full(self) -> bool:
        return self._left is not None and self._left <= 0

    def convert(self, line: bytes) -> bytes:
        parts = line.split(b" ", 3)
        if len(parts) < 4:
            return b""
        stamp, stream, tags, text = parts
        if self._stream is not None and stream != self._stream:
            return b""
        if self._options.since and _epoch(stamp) < self._options.since:
            return b""
        if tags.split(b":", 1)[0] == b"P":
            text = text.rstrip(b"\n")
        if self._options.timestamps:
            text = stamp + b" " + text
        if self._left is not None:
            text = text[: self._left]
            self._left -= len(text)
        return text


def _epoch(stamp: bytes) -> float:
    try:
        return times.parse(stamp.decode())
    except ValueError:
        return 0.0


async def read_log(path: Path, options: LogOptions, *, alive: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
    """Yield the log's text in blocks. alive: whether the container still runs; following ends when it does not.

    Raises OSError when the log does not exist.
    """
    convert = _Filter(options)
    with Inotify() as watch:
        file: BinaryIO = path.open("rb")
        try:
            if options.tail is not None:
                file.seek(tail_offset(file, options.tail))
            if options.follow:
                watch.add(path, MODIFY | MOVE_SELF | DELETE_SELF)
                watch.add(path.parent, CREATE | MOVED_TO)
            rest = b""
            while True:
                was_alive = alive()
                for block, left in _blocks(file, rest, convert):
                    rest = left
                    if block:
                        yield block
                    if convert.full:
                        return
                if not options.follow:
                    return
                fresh = _reopened(path, file)
                if fresh is not None:
                    file.close()
                    file, rest = fresh, b""
                    with suppress(OSError):
                        watch.add(path, MODIFY | MOVE_SELF | DELETE_SELF)
                    continue
                if not was_alive:
                    return
                yield b""  # the caller learns here that the client is gone
                await watch.wait()
        finally:
            file.close()


def _blocks(file: BinaryIO, rest: bytes, convert: _Filter) -> Iterator[tuple[bytes, bytes]]:
    """Read to the end of the file; yields (text, incomplete last line)."""
    while data := file.read(_BLOCK):
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        yield b"".join([convert.convert(line + b"\n") for line in lines if not convert.full]), rest
    yield b"", rest


def _reopened(path: Path, file: BinaryIO) -> BinaryIO | None:
    """Return the new file when the log was rotated and the old one is read to its end."""
    try:
        if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return None
        return path.open("rb")
    except OSError:
        return None
