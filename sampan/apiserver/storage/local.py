"""What the backends of one process share: conditional writes decided in memory, group commit, expiry, live watches.

A write is decided at once, in the loop, against the committed heads (key -> revision) overlaid with the pending ones.
It is then queued; whatever is queued while one commit is under way forms the next. A write becomes visible, and is
answered, only when its commit is durable. If a commit fails, every pending write fails with it: later ones may have
been decided on top of it. Revisions once given are not given again, also not those of failed writes.

A refusal that rests on a pending write waits for that write: else a client could be refused because of something that
it cannot yet see, and ask again in vain.
"""

from __future__ import annotations

import asyncio
import heapq
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from sampan.apiserver.storage.interface import (
    Change,
    Changes,
    CompactedError,
    FutureRevisionError,
    KeyExistsError,
    KeyNotFoundError,
    Page,
    Record,
    RevisionConflictError,
    StoreUnavailableError,
    Ticket,
)
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sampan.apiserver.storage.interface import Subscriber
    from sampan.base.clock import Clock

log = logger("storage")

_EXPIRY_PERIOD = 1.0
"""Seconds between looks for expired keys: etcd revokes leases at about this granularity."""

COMPACTION_PERIOD = 300.0
"""Seconds of history that are kept at least, as kube-apiserver's default ``--etcd-compaction-interval``."""

HISTORY_LIMIT = 100_000
"""Superseded versions that are kept at most, whatever their age: a few hundred megabytes of pods on disk."""


class Write(NamedTuple):
    """A decided write on its way to the commit. expires: epoch seconds, 0 for never. previous: revision replaced."""

    key: str
    revision: int
    value: bytes | None
    expires: int
    previous: int
    done: asyncio.Future[None]


class LocalStore(ABC):
    """Decides writes, commits them in groups, keeps heads. A subclass keeps the values and makes commits durable."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._revision = 1  # as an empty etcd: a list at resourceVersion "0" would mean something else
        self._next = 2
        self._compacted = 0
        self._heads: dict[str, int] = {}
        self._pending: dict[str, int] = {}
        self._queue: list[Write] = []
        self._flying: list[Write] = []
        self._scheduled = False
        self._superseded: deque[tuple[int, int]] = deque()
        self._expiries: list[tuple[int, int, str]] = []
        self._sorted: list[str] | None = None
        self._subscriber: Subscriber | None = None
        self._streams: set[_Stream] = set()
        self._open = False

    # What a subclass does

    @abstractmethod
    def _commit(self, batch: list[Write]) -> None:
        """Begin to make batch durable; `_committed` or `_failed` is called in the loop when that has ended."""

    @abstractmethod
    async def _fetch(self, keys: Sequence[tuple[str, int]]) -> list[Record]:
        """Read the values of (key, revision) pairs that are current or in kept history."""

    @abstractmethod
    async def _list_at(self, prefix: str, after: str, revision: int) -> list[tuple[str, int]]:
        """Tell (key, revision) of what existed under prefix, behind `after`, at a kept revision, in key order."""

    @abstractmethod
    async def _changes(self, prefix: str, after: int, until: int) -> list[Change]:
        """Read history: every change under prefix with after < revision <= until, in order."""

    @abstractmethod
    async def _forget(self, revisions: Sequence[int]) -> None:
        """Drop these superseded versions; the store is compacted to `_compacted`."""

    # Writing

    @property
    def revision(self) -> int:
        return self._revision

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber

    def submit(self, key: str, value: bytes | None, *, expected: int, ttl: int = 0) -> Ticket:
        if not self._open:
            raise StoreUnavailableError("the store is closed")
        head = self._pending.get(key)
        if head is None:
            head = self._heads.get(key, 0)
        elif head < 0:
            head = 0
        if head != expected:
            _refuse(key, expected, head)
        revision = self._next
        self._next = revision + 1
        self._pending[key] = revision if value is not None else -revision
        expires = int(self._clock.time()) + ttl if ttl else 0
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.append(Write(key, revision, value, expires, head, done))
        if not self._scheduled and not self._flying:
            self._scheduled = True
            loop.call_soon(self._take_off)
        return Ticket(revision, done)

    async def settle(self, key: str) -> bool:
        if key not in self._pending:
            return False
        waiting = [write.done for write in (*self._flying, *self._queue) if write.key == key and not write.done.done()]
        if waiting:
            await asyncio.wait(waiting)
        else:
            await asyncio.sleep(0)
        return True

    async def create(self, key: str, value: bytes, *, ttl: int = 0) -> int:
        return await self._write(key, value, 0, ttl)

    async def update(self, key: str, value: bytes, *, expected: int, ttl: int = 0) -> int:
        if expected <= 0:
            raise ValueError(f"{key}: an update expects a positive revision, not {expected}")
        return await self._write(key, value, expected, ttl)

    async def delete(self, key: str, *, expected: int) -> int:
        if expected <= 0:
            raise ValueError(f"{key}: a deletion expects a positive revision, not {expected}")
        return await self._write(key, None, expected, 0)

    async def _write(self, key: str, value: bytes | None, expected: int, ttl: int) -> int:
        while True:
            try:
                ticket = self.submit(key, value, expected=expected, ttl=ttl)
            except (KeyExistsError, KeyNotFoundError, RevisionConflictError):
                if not await self.settle(key):
                    raise
            else:
                await ticket.done
                return ticket.revision

    def _take_off(self) -> None:
        self._scheduled = False
        if self._queue and not self._flying:
            self._flying, self._queue = self._queue, []
            self._commit(self._flying)

    def _committed(self) -> None:
        """Make the flying batch visible and answer its writers."""
        batch, self._flying = self._flying, []
        heads, pending = self._heads, self._pending
        changes = Changes((), batch[-1].revision)
        for write in batch:
            key, revision = write.key, write.revision
            self._apply(write)
            if write.value is None:
                del heads[key]
                if pending.get(key) == -revision:
                    del pending[key]
            else:
                heads[key] = revision
                if pending.get(key) == revision:
                    del pending[key]
            changes.append(Change(key, revision, write.value))
        self._revision = changes.revision
        if self._subscriber is not None:
            self._subscriber.committed(changes)
        for stream in self._streams:
            stream.put(changes)
        for write in batch:
            if not write.done.done():
                write.done.set_result(None)
        if self._queue:
            self._take_off()

    def _apply(self, write: Write) -> None:
        if write.previous:
            self._superseded.append((write.revision, write.previous))
        if write.value is None:
            self._superseded.append((write.revision, write.revision))
        if write.expires:
            heapq.heappush(self._expiries, (write.expires, write.revision, write.key))
        if self._sorted is not None and (write.value is None or not write.previous):
            self._sorted = None

    def _failed(self, error: StoreUnavailableError) -> None:
        """Fail the flying batch and all that was decided on top of it."""
        log.error("Writes failed", count=len(self._flying) + len(self._queue), error=error)
        lost = [*self._flying, *self._queue]
        self._flying, self._queue = [], []
        self._pending.clear()
        if self._subscriber is not None:
            self._subscriber.lost()
        for write in lost:
            if not write.done.done():
                write.done.set_exception(StoreUnavailableError(str(error)))
                write.done.exception()  # a writer that went away is no one to warn about

    async def _drain(self) -> None:
        """Refuse new writes and wait for the pending ones."""
        self._open = False
        while waiting := [write.done for write in (*self._flying, *self._queue) if not write.done.done()]:
            await asyncio.wait(waiting)
        for stream in list(self._streams):
            stream.end()

    # Reading

    async def get(self, key: str) -> Record | None:
        revision = self._heads.get(key)
        if revision is None:
            return None
        return (await self._fetch([(key, revision)]))[0]

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        if revision > self._revision:
            raise FutureRevisionError(revision, self._revision)
        if 0 < revision < self._compacted:
            raise CompactedError(revision, self._compacted)
        if revision in {0, self._revision}:
            at = self._revision
            keys = self._keys(prefix, after)
            remaining = max(0, len(keys) - limit) if limit else 0
            heads = self._heads
            found = [(key, heads[key]) for key in (keys[:limit] if limit else keys)]
        else:
            at = revision
            found = await self._list_at(prefix, after, revision)
            remaining = max(0, len(found) - limit) if limit else 0
            found = found[:limit] if limit else found
        return Page(await self._fetch(found), at, remaining > 0, remaining)

    def _keys(self, prefix: str, after: str) -> Sequence[str]:
        if self._sorted is None:
            self._sorted = sorted(self._heads)
        begin = bisect_left(self._sorted, prefix)
        if after:
            begin = max(begin, bisect_right(self._sorted, after))
        return self._sorted[begin : bisect_left(self._sorted, prefix_end(prefix))]

    # Watching

    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[Changes]:
        if after < self._compacted:
            raise CompactedError(after, self._compacted)
        stream = _Stream(self._streams.discard)
        self._streams.add(stream)
        try:
            if after < (until := self._revision):
                yield Changes(await self._changes(prefix, after, until), until)
                after = until
            while (batch := await stream.take()) is not None:
                if batch.revision > after:
                    chosen = [one for one in batch if one.revision > after and one.key.startswith(prefix)]
                    yield Changes(chosen, batch.revision)
        finally:
            stream.end()

    # Chores

    async def run(self) -> None:
        """Delete what has expired and forget old history, until cancelled."""
        marks = deque([(self._clock.monotonic(), self._revision)])
        while True:
            await self._clock.sleep(_EXPIRY_PERIOD)
            await self._expire()
            now = self._clock.monotonic()
            due = 0
            while marks and now - marks[0][0] >= COMPACTION_PERIOD:
                due = marks.popleft()[1]
            if not marks or now - marks[-1][0] >= COMPACTION_PERIOD / 5:
                marks.append((now, self._revision))
            if len(self._superseded) > HISTORY_LIMIT:
                due = max(due, self._superseded[-HISTORY_LIMIT // 2][0])
            if due > self._compacted:
                try:
                    await self.compact(due)
                except StoreUnavailableError as error:
                    log.warning("History was not compacted, it will be after the next start", error=error)

    async def _expire(self) -> None:
        now = self._clock.time()
        due: list[Ticket] = []
        while self._expiries and self._expiries[0][0] <= now:
            _, revision, key = heapq.heappop(self._expiries)
            if self._heads.get(key) != revision or key in self._pending:
                continue  # renewed, or already going
            due.append(self.submit(key, None, expected=revision))
        for ticket in due:
            try:
                await ticket.done
            except StoreUnavailableError:
                log.warning("Expired keys stay until the store works again", count=len(due))
                return

    async def compact(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevisionError(revision, self._revision)
        if revision <= self._compacted:
            return
        self._compacted = revision
        doomed = []
        while self._superseded and self._superseded[0][0] <= revision:
            doomed.append(self._superseded.popleft()[1])
        await self._forget(doomed)


class _Stream:
    """One live subscription to changes."""

    def __init__(self, forget: Callable[[_Stream], None]) -> None:
        self._batches: deque[Changes] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        self._forget = forget

    def put(self, changes: Changes) -> None:
        self._batches.append(changes)
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()
        self._forget(self)

    async def take(self) -> Changes | None:
        while not self._batches:
            if self._ended:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._batches.popleft()


def prefix_end(prefix: str) -> str:
    """The smallest key behind every key that begins with prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _refuse(key: str, expected: int, actual: int) -> None:
    if not expected:
        raise KeyExistsError(key)
    if not actual:
        raise KeyNotFoundError(key)
    raise RevisionConflictError(key, expected, actual)
