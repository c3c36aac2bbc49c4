"""Standard input for remote commands: an async reader, raw mode, and the terminal's size as it changes."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class _FileInput:
    """Standard input from a regular file: reading never blocks for long."""

    async def read(self, n: int = -1) -> bytes:
        return os.read(sys.stdin.fileno(), n if n > 0 else 65536)


async def standard_input() -> asyncio.StreamReader | _FileInput:
    """A reader of standard input, whatever it is."""
    if stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
        return _FileInput()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Hand every key to the remote side for the body; does nothing where standard input is no terminal."""
    if not sys.stdin.isatty():
        yield
        return
    import termios  # noqa: PLC0415 - only with a terminal
    import tty  # noqa: PLC0415

    saved = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)


async def sizes() -> AsyncIterator[tuple[int, int]]:
    """Yield the terminal's (columns, rows) now and whenever it changes."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            size = os.get_terminal_size(sys.stdout.fileno() if sys.stdout.isatty() else sys.stdin.fileno())
            yield size.columns, size.lines
            await changed.wait()
            changed.clear()
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
