"""The `sqlite` backend: memory decides, a log file makes it last. The default for one server.

The loop decides writes (`local.LocalStore`); one writer thread appends them to the `logfile.LogFile`, one commit for
all that has gathered while the last one was under way. Values are not kept here: the watch cache has them, and the
rare reads of history go to the file. What this backend holds in memory is the revision of each key.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from sampan.apiserver.storage.interface import StoreUnavailableError
from sampan.apiserver.storage.local import LocalStore
from sampan.apiserver.storage.logfile import LogFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sampan.apiserver.storage.interface import Change, Record
    from sampan.apiserver.storage.local import Write
    from sampan.base.clock import Clock

_SWITCH_SECONDS = 0.0005
"""A tenth of the interpreter's default, about the time of a commit."""

_DOOMED_A_COMMIT = 512
"""Rows that a compaction deletes in one transaction: writers wait behind it for a few milliseconds at most."""


class SQLiteBackend(LocalStore):
    """A durable store in one file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(clock)
        self._file = LogFile(path)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._load()
        # For the whole process: how long the writer thread may wait for a busy loop's lock on its way to an answer.
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        self._thread = threading.Thread(target=self._work, name="storage-writer", daemon=True)
        self._thread.start()
        self._open = True

    async def close(self) -> None:
        if self._thread is None:
            return
        await self._drain()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._thread = None
        self._file.close()

    async def copy_to(self, path: Path) -> None:
        """Write a copy of the current state to a new file while the store serves on.

        Raises StoreUnavailableError, also when the file exists.
        """
        await asyncio.to_thread(self._file.copy_to, path)

    def _load(self) -> None:
        compacted, newest = self._file.open()
        try:
            heads, superseded = self._heads, self._superseded
            for revision, key, expires, deleted in self._file.rows():
                previous = heads.get(key)
                if previous is not None:
                    superseded.append((revision, previous))
                if deleted:
                    heads.pop(key, None)
                    superseded.append((revision, revision))
                else:
                    heads[key] = revision
                    if expires:
                        self._expiries.append((expires, revision, key))
                newest = max(newest, revision)
        except StoreUnavailableError:
            self._file.close()
            raise
        self._expiries = sorted(one for one in self._expiries if heads.get(one[2]) == one[1])
        newest = max(newest, self._revision)
        self._revision, self._next, self._compacted = newest, newest + 1, compacted

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _commit(self, batch: list[Write]) -> None:
        self._jobs.put(lambda: self._append(batch))

    def _append(self, batch: list[Write]) -> None:
        assert self._loop is not None
        try:
            self._file.append(batch)
        except StoreUnavailableError as error:
            self._loop.call_soon_threadsafe(self._failed, error)
        else:
            self._loop.call_soon_threadsafe(self._committed)

    async def _fetch(self, keys: Sequence[tuple[str, int]]) -> list[Record]:
        return await asyncio.to_thread(self._file.fetch, keys) if keys else []

    async def _list_at(self, prefix: str, after: str, revision: int) -> list[tuple[str, int]]:
        return await asyncio.to_thread(self._file.list_at, prefix, after, revision)

    async def _changes(self, prefix: str, after: int, until: int) -> list[Change]:
        return await asyncio.to_thread(self._file.changes, prefix, after, until)

    async def _forget(self, revisions: Sequence[int]) -> None:
        newest, compacted = self._revision, self._compacted
        for begin in range(0, max(1, len(revisions)), _DOOMED_A_COMMIT):
            part = revisions[begin : begin + _DOOMED_A_COMMIT]
            await self._in_writer(lambda part=part: self._file.forget(compacted, newest, part))  # type: ignore[misc]

    async def _in_writer(self, job: Callable[[], None]) -> None:
        """Run a job in the writer thread, between two commits."""
        assert self._loop is not None
        loop = self._loop
        done: asyncio.Future[None] = loop.create_future()

        def answer(error: StoreUnavailableError | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def work() -> None:
            try:
                job()
            except StoreUnavailableError as error:
                loop.call_soon_threadsafe(answer, error)
            else:
                loop.call_soon_threadsafe(answer, None)

        self._jobs.put(work)
        await done
