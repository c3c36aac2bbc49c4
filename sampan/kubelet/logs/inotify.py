"""inotify(7) as awaitable: be told when a file or directory changes, without polling."""

from __future__ import annotations

import asyncio
import ctypes
import os
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

MODIFY, CLOSE_WRITE, MOVED_TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF = 2, 8, 0x80, 0x100, 0x200, 0x400, 0x800

_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """Watches some paths; use as a context manager in a running loop."""

    def __init__(self) -> None:
        self._descriptor = _libc.inotify_init1(_NONBLOCK | _CLOEXEC)
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "inotify")
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def add(self, path: Path, mask: int) -> None:
        """Watch a path. Raises OSError."""
        if _libc.inotify_add_watch(self._descriptor, os.fsencode(path), ctypes.c_uint32(mask)) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))

    def _read(self) -> None:
        try:
            os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        self._changed.set()

    async def wait(self) -> None:
        """Return when something has changed since the last call."""
        await self._changed.wait()
        self._changed.clear()
