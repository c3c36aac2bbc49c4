"""The person's end of a remote command: standard input as a stream, raw mode, the terminal's size as it changes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


async def stdin_reader() -> asyncio.StreamReader:
    """Standard input as a stream; a file, which no event loop can wait for, is read at once."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    except ValueError:
        reader.feed_data(sys.stdin.buffer.read())
        reader.feed_eof()
    return reader


def write_stdout(data: bytes) -> None:
    """Write all of data, now."""
    _write_all(1, data)


def write_stderr(data: bytes) -> None:
    """Write all of data, now."""
    _write_all(2, data)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            # standard input and output are often one terminal, which the reader has made non-blocking
            os.set_blocking(descriptor, True)


@contextmanager
def raw_mode() -> Iterator[None]:
    """Put the terminal into raw mode for the block."""
    import termios  # noqa: PLC0415 - only with a terminal
    import tty  # noqa: PLC0415 - only with a terminal

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSANOW)  # what was typed ahead is kept
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        os.set_blocking(descriptor, True)


async def sizes() -> AsyncIterator[tuple[int, int]]:
    """Yield the terminal's (columns, rows) now and on every change."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            size = shutil.get_terminal_size()
            yield size.columns, size.lines
            await changed.wait()
            changed.clear()
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
