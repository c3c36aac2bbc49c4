"""The storage contract: keys, bytes, one global revision. All that the watch cache knows of a backend.

Keys are ``/registry/<group or core>/<resource>[/<namespace>]/<name>``. Values are opaque (JSON without
resourceVersion). Revisions are positive, strictly increasing over all keys, and never reused, also not after a crash.
A write is durable when its call returns (but for the `memory` backend). Modelled on etcd's key-value API, as narrow as
kine's ``Backend``.

Every backend is a `Backend`. One whose process is the only writer is a `LocalBackend` as well: its writes can be
chained before they are durable, and it tells the cache of them synchronously. Any other one is a `RemoteBackend`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import AsyncIterator, Iterable, Sequence

ROOT = "/registry/"
"""The prefix of every key."""


class StorageError(SampanError):
    """The root of the backends' errors; `storage.translate` turns them into API errors, and nothing else does."""


class KeyExistsError(StorageError):
    """create: the key is taken."""


class KeyNotFoundError(StorageError):
    """update or delete: there is no such key."""


class RevisionConflictError(StorageError):
    """update or delete: the key is at another revision than expected. actual: that revision."""

    def __init__(self, key: str, expected: int, actual: int) -> None:
        super().__init__(f"{key}: expected revision {expected}, found {actual}")
        self.key = key
        self.expected = expected
        self.actual = actual


class CompactedError(StorageError):
    """A revision was asked for that is compacted away.

    revision: the oldest that can still be had (for a watch: the smallest ``after``).
    """

    def __init__(self, requested: int, revision: int) -> None:
        super().__init__(f"revision {requested} has been compacted, oldest is {revision}")
        self.requested = requested
        self.revision = revision


class ContinueExpiredError(CompactedError):
    """A continue token's revision is compacted away. token: goes on with the newest state, inconsistently."""

    def __init__(self, requested: int, revision: int, token: str) -> None:
        super().__init__(requested, revision)
        self.token = token


class ContinueTokenError(StorageError, ValueError):
    """A continue token is malformed; the text says how, as kube-apiserver does."""


class FutureRevisionError(StorageError):
    """A revision was asked for that is not yet written. current: the newest."""

    def __init__(self, requested: int, current: int) -> None:
        super().__init__(f"Too large resource version: {requested}, current: {current}")
        self.requested = requested
        self.current = current


class StoreUnavailableError(StorageError):
    """The backend cannot serve (disk full, no quorum, closed); the write may or may not have happened."""


class Record(NamedTuple):
    """One key at one revision. revision: of its last change."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing, in key order.

    revision: the store's at the time; more: whether keys follow the last one; remaining: how many follow (exact).
    """

    records: Sequence[Record]
    revision: int
    more: bool = False
    remaining: int = 0


class Change(NamedTuple):
    """One write. value is None for a deletion."""

    key: str
    revision: int
    value: bytes | None


class Changes(list[Change]):
    """Changes in order. revision: nothing up to it is missing; an empty list says just that (a progress mark)."""

    __slots__ = ("revision",)

    def __init__(self, changes: Iterable[Change], revision: int) -> None:
        super().__init__(changes)
        self.revision = revision


class Backend(Protocol):
    """What a store must do. Calls may run concurrently; each write is atomic and conditional."""

    async def start(self) -> None:
        """Open or create the store; raises StoreUnavailableError with the cure when it cannot be used."""
        ...

    async def run(self) -> None:
        """Do the store's chores (expiry, compaction) until cancelled; started after `start`."""
        ...

    async def close(self) -> None:
        """Finish pending writes and release everything."""
        ...

    @property
    def revision(self) -> int:
        """The newest revision that readers may see."""
        ...

    async def get(self, key: str) -> Record | None:
        """Read one key, linearizably."""
        ...

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Read keys under prefix in key order, beginning behind `after`; limit 0: all; revision 0: newest.

        Raises CompactedError, FutureRevisionError.
        """
        ...

    async def create(self, key: str, value: bytes, *, ttl: int = 0) -> int:
        """Write a new key and return its revision. ttl: seconds until it is deleted, 0 for never.

        Raises KeyExistsError.
        """
        ...

    async def update(self, key: str, value: bytes, *, expected: int, ttl: int = 0) -> int:
        """Replace the value if the key is at revision `expected`, and return the new revision.

        Raises KeyNotFoundError, RevisionConflictError.
        """
        ...

    async def delete(self, key: str, *, expected: int) -> int:
        """Delete the key if it is at revision `expected`, and return the deletion's own revision.

        Raises KeyNotFoundError, RevisionConflictError.
        """
        ...

    def watch(self, prefix: str, *, after: int) -> AsyncIterator[Changes]:
        """Yield every change under prefix with a revision greater than `after`, once, in order, in batches.

        A batch never splits a revision; an empty one is a progress mark. Raises CompactedError when changes after
        `after` are no longer known.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget history before revision; current values stay."""
        ...


class Ticket(NamedTuple):
    """A write that is decided but not yet durable. done: ends with the commit, or with StoreUnavailableError."""

    revision: int
    done: Future[None]


class Subscriber(Protocol):
    """Who a `LocalBackend` tells of commits, in the loop, before any writer is answered."""

    def committed(self, changes: Sequence[Change]) -> None:
        """Take changes that are durable now; all of them, in order. Must not raise."""
        ...

    def lost(self) -> None:
        """Every write that was pending has failed."""
        ...


@runtime_checkable
class LocalBackend(Backend, Protocol):
    """A backend whose process is the only writer: memory decides, the disk only follows."""

    def subscribe(self, subscriber: Subscriber) -> None:
        """Name the one that hears of commits; before the first write."""
        ...

    def submit(self, key: str, value: bytes | None, *, expected: int, ttl: int = 0) -> Ticket:
        """Decide a write (value None: a deletion; expected 0: a creation) against the pending state, at once.

        Raises KeyExistsError, KeyNotFoundError, RevisionConflictError; these may rest on pending writes: see `settle`.
        """
        ...

    async def settle(self, key: str) -> bool:
        """Wait until the pending writes of key are committed or lost; False when there are none."""
        ...


@runtime_checkable
class RemoteBackend(Backend, Protocol):
    """A backend with other writers: a cache of it may be behind."""

    async def latest(self) -> int:
        """Ask the store (linearizably) for its revision, and make the watch deliver a progress mark for it soon."""
        ...
