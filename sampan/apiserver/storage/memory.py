"""The `memory` backend, for tests: everything in dictionaries, nothing durable.

All writes of one turn of the loop commit together at its end, so that callers meet the same order of events as with a
disk. History is kept until it is compacted.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING

from sampan.apiserver.storage.interface import Change, Record
from sampan.apiserver.storage.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.apiserver.storage.local import Write
    from sampan.base.clock import Clock


class MemoryBackend(LocalStore):
    """A store that ends with its process."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._versions: dict[int, Change] = {}

    async def start(self) -> None:
        self._open = True

    async def close(self) -> None:
        await self._drain()

    def _commit(self, batch: list[Write]) -> None:
        for write in batch:
            self._versions[write.revision] = Change(write.key, write.revision, write.value)
        asyncio.get_running_loop().call_soon(self._committed)

    async def _fetch(self, keys: Sequence[tuple[str, int]]) -> list[Record]:
        return [Record(key, self._versions[revision].value or b"", revision) for key, revision in keys]

    async def _list_at(self, prefix: str, after: str, revision: int) -> list[tuple[str, int]]:
        found: dict[str, int] = {}
        for change in self._history(0, revision):
            if change.value is None:
                found.pop(change.key, None)
            elif change.key.startswith(prefix) and change.key > after:
                found[change.key] = change.revision
        return sorted(found.items())

    async def _changes(self, prefix: str, after: int, until: int) -> list[Change]:
        return [change for change in self._history(after, until) if change.key.startswith(prefix)]

    def _history(self, after: int, until: int) -> list[Change]:
        revisions = list(self._versions)
        chosen = revisions[bisect_right(revisions, after) : bisect_right(revisions, until)]
        return [self._versions[revision] for revision in chosen]

    async def _forget(self, revisions: Sequence[int]) -> None:
        for one in revisions:
            self._versions.pop(one, None)
