"""The storage contract: keys, bytes, one global revision. All that the watch cache knows of a backend.

Keys are ``/registry/<group or core>/<resource>[/<namespace>]/<name>``. Values are opaque (JSON without
resourceVersion). Revisions are positive, strictly increasing over all keys, and never reused, also not after a crash.
A write is durable when its call returns (but for the `memory` backend). Modelled on etcd's key-value API, as narrow as
kine's ``Backend``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sampan.base.errors import SampanError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


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
    """A revision was asked for that is compacted away. revision: the oldest that can still be had."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"required revision has been compacted, oldest is {revision}")
        self.revision = revision


class FutureRevisionError(StorageError):
    """A revision was asked for that is not yet written. current: the newest."""

    def __init__(self, requested: int, current: int) -> None:
        super().__init__(f"Too large resource version: {requested}, current: {current}")
        self.requested = requested
        self.current = current


class StoreUnavailableError(StorageError):
    """The backend cannot serve (disk full, no quorum, closed); the write may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Record:
    """One key at one revision. revision: of its last change. create_revision: of its creation."""

    key: str
    value: bytes
    revision: int
    create_revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing, in key order. revision: the store's at the time; more: whether keys follow the last one;
    remaining: how many follow (exact)."""

    records: Sequence[Record]
    revision: int
    more: bool = False
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One write. value is None for a deletion; previous is None for a creation. create_revision as in `Record`."""

    key: str
    revision: int
    value: bytes | None
    previous: bytes | None
    create_revision: int


class Backend(Protocol):
    """What a store must do. Calls may run concurrently; each write is atomic and conditional."""

    async def start(self) -> None:
        """Open or create the store; raises StorageError with the cure when it cannot be used."""
        ...

    async def close(self) -> None:
        """Finish pending writes and release everything."""
        ...

    @property
    def revision(self) -> int:
        """The newest revision that readers may see."""
        ...

    @property
    def authoritative(self) -> bool:
        """Whether this process is the only writer, so that a cache fed by its watch is never behind."""
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

    def watch(self, prefix: str, *, after: int) -> AsyncIterator[Sequence[Change]]:
        """Yield every change under prefix with a revision greater than `after`, once, in order, in batches.

        A batch never splits a revision. An empty batch is a progress mark: nothing is missing up to `revision`.
        Raises CompactedError when changes after `after` are no longer known.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget history before revision; current values stay."""
        ...
