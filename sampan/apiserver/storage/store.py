"""The store: a backend, the watch cache of every resource in front of it, and what feeds the one from the other.

``store = Store(backend, clock)``, ``await store.start()``, then ``store.resource(group, resource)`` at any time: the
store reads everything under the root when it starts, so a resource's objects are there before anyone names it (custom
resources). `run` does the chores, and for a remote backend follows its changes.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from sampan.apiserver.storage.cacher import ResourceCache
from sampan.apiserver.storage.interface import (
    ROOT,
    CompactedError,
    FutureRevisionError,
    LocalBackend,
    RemoteBackend,
    StoreUnavailableError,
)
from sampan.base.clock import deadline
from sampan.base.log import logger
from sampan.base.tasks import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sampan.api.object import Object
    from sampan.apiserver.storage.dispatch import Dispatcher
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.interface import Backend, Change, Record
    from sampan.base.clock import Clock

log = logger("storage")

FRESH_SECONDS = 3.0
"""How long a read waits for its resourceVersion: kube-apiserver's limit (watch cache, ``blockTimeout``)."""

_PROGRESS_SECONDS = 60.0
"""How often idle watchers hear how far they are: kube-apiserver's bookmark frequency."""

_PAGE = 1000
"""Objects read at once at the start: bounds what is in memory twice."""

_RETRY_SECONDS = 1.0
"""Pause before a broken watch of the backend is begun again."""


class Store:
    """All resources of one server."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self.backend = backend
        self.local = backend if isinstance(backend, LocalBackend) else None
        self.authoritative = self.local is not None
        self.revision = 0
        self._clock = clock
        self._caches: dict[str, ResourceCache] = {}
        self._expected: dict[int, tuple[ResourceCache, Entry]] = {}
        self._unflushed: dict[Dispatcher, None] = {}
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()

    async def start(self) -> None:
        """Open the backend and read it. Raises StoreUnavailableError with the cure."""
        await self.backend.start()
        try:
            await self._load()
        except BaseException:
            await self.backend.close()
            raise

    async def _load(self) -> None:
        if self.local is not None:
            self.local.subscribe(self)
        with _garbage_later():
            revision, after, more = 0, "", True
            while more:
                page = await self.backend.list(ROOT, after=after, limit=_PAGE, revision=revision)
                revision, more = page.revision, page.more
                self.revision = max(self.revision, revision)
                for record in page.records:
                    self._cache_of(record.key).load(record)
                after = page.records[-1].key if page.records else after
        for cache in self._caches.values():
            cache.begin(self.revision)

    async def run(self) -> None:
        """Do what must be done all the time, until cancelled; begun after `start`."""
        async with asyncio.TaskGroup() as group:
            serve(group, self.backend.run(), name="storage-chores")
            serve(group, self._report_progress(), name="storage-progress")
            if self.local is None:
                serve(group, self._follow(), name="storage-watch")

    async def close(self) -> None:
        """Finish pending writes and release the backend."""
        await self.backend.close()
        for cache in self._caches.values():
            cache.watchers.expire()

    def resource(
        self, group: str, resource: str, *, fields: Callable[[Object], Mapping[str, str]] | None = None
    ) -> ResourceCache:
        """Give the cache of one resource; the same names give the same one. fields: computes the selectable fields."""
        cache = self._cache(f"{ROOT}{group or 'core'}/{resource}/")
        if fields is not None:
            cache.select_by(fields)
        return cache

    def counts(self) -> dict[str, int]:
        """Count the objects of each resource, by its keys' prefix."""
        return {prefix: len(cache) for prefix, cache in self._caches.items()}

    async def wait_fresh(self, revision: int = 0) -> None:
        """See `resourcestore.ResourceStore.wait_fresh`."""
        if self.local is None and not revision and isinstance(self.backend, RemoteBackend):
            revision = await self.backend.latest()
        if revision <= self.revision:
            return
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (revision, next(self._order), seen))
        try:
            async with deadline(self._clock, FRESH_SECONDS):
                await seen
        except TimeoutError as error:
            raise FutureRevisionError(revision, self.revision) from error

    # What the caches ask

    def expect(self, revision: int, cache: ResourceCache, entry: Entry) -> None:
        """Name the entry that the commit of a pending write makes current (or, deleted, last)."""
        self._expected[revision] = (cache, entry)

    def schedule_flush(self, dispatcher: Dispatcher) -> None:
        """Deliver a resource's queued events at the end of this turn of the loop."""
        if not self._unflushed:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unflushed[dispatcher] = None

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, {}
        for dispatcher in unflushed:
            dispatcher.flush()

    # What the backend tells

    def committed(self, changes: Sequence[Change]) -> None:
        """Take committed changes: they are current when this returns."""
        now = self._clock.monotonic()
        expected = self._expected
        for change in changes:
            known = expected.pop(change.revision, None)
            try:
                if known is None:
                    self._cache_of(change.key).take(change, now)
                elif change.value is None:
                    known[0].remove(known[1], now)
                else:
                    known[0].put(known[1], now)
            except Exception:  # the write is durable: a fault here must not take the others with it
                log.exception("A change could not be taken into the cache", key=change.key)
        if changes:
            self._advance(changes[-1].revision)

    def lost(self) -> None:
        """Forget the writes that were pending."""
        self._expected.clear()
        for cache in self._caches.values():
            cache.forget_pending()

    def _advance(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        while self._waiting and self._waiting[0][0] <= self.revision:
            seen = heapq.heappop(self._waiting)[2]
            if not seen.done():
                seen.set_result(None)

    def _cache_of(self, key: str) -> ResourceCache:
        end = key.index("/", key.index("/", len(ROOT)) + 1) + 1
        prefix = key[:end]
        return self._caches.get(prefix) or self._cache(prefix)

    def _cache(self, prefix: str) -> ResourceCache:
        cache = self._caches.get(prefix)
        if cache is None:
            cache = self._caches[prefix] = ResourceCache(self, prefix)
        return cache

    # Chores

    async def _report_progress(self) -> None:
        while True:
            await self._clock.sleep(_PROGRESS_SECONDS)
            now = self._clock.monotonic()
            for cache in list(self._caches.values()):
                cache.history.trim(now)
                cache.watchers.progress()

    async def _follow(self) -> None:
        """Apply a remote backend's changes; begin anew from a list when some were missed."""
        while True:
            try:
                async for changes in self.backend.watch(ROOT, after=self.revision):
                    self.committed(changes)
                    self._advance(changes.revision)
            except CompactedError:
                log.warning("Changes were missed, reading everything anew")
                await self._reload()
                continue
            except StoreUnavailableError as error:
                log.warning("The watch of the data store broke, trying again", error=error)
            await self._clock.sleep(_RETRY_SECONDS)

    async def _reload(self) -> None:
        page = await self.backend.list(ROOT)
        found: dict[str, list[Record]] = {prefix: [] for prefix in self._caches}
        for record in page.records:
            found.setdefault(self._cache_of(record.key).prefix, []).append(record)
        self._advance(page.revision)
        for prefix, records in found.items():
            self._caches[prefix].reset(records, page.revision)


@contextmanager
def _garbage_later() -> Iterator[None]:
    """Hold the collector off while many objects are made that stay, and then keep it from looking at them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
