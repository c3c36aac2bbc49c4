"""What the registry sees of storage: one `ResourceStore` per resource, implemented by the watch cache.

Reads are synchronous, from memory; when the backend has other writers (etcd), ``wait_fresh`` first makes them
linearizable. Errors are the backends' (`storage.interface`); `storage.translate` turns them into API errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.api.object import Object
    from sampan.apiserver.storage.entry import Entry

Predicate = "Callable[[Entry], bool]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries a list or watch is about. Conditions are ANDed.

    namespace: "" for all. name: "" for all. labels: exact label pairs that every match has (an index may serve them).
    fields: exact values of selectable fields likewise. matches: the full condition, None when labels and fields say it all.
    """

    namespace: str = ""
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    matches: Callable[[Entry], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The answer to a list: entries in key order. remaining: None when unknown (a selector was given)."""

    entries: Sequence[Entry]
    revision: int
    continue_token: str = ""
    remaining: int | None = None


class Event:
    """One change as the watch cache shares it with all watchers: type, entry, the entry before.

    `line(type)` is the encoded JSON watch line, made once. A watcher with a selector sees MODIFIED as ADDED or DELETED
    when the object begins or ceases to match; a deletion's entry carries the deletion's own revision.
    """

    __slots__ = ("_lines", "entry", "previous", "type")

    def __init__(self, type_: str, entry: Entry, previous: Entry | None) -> None:
        self.type = type_
        self.entry = entry
        self.previous = previous
        self._lines: dict[str, bytes] = {}

    def line(self, type_: str, entry: Entry | None = None) -> bytes:
        """Encode ``{"type":...,"object":...}\\n`` once per type."""
        found = self._lines.get(type_)
        if found is None:
            wire = (entry or self.entry).wire
            found = self._lines[type_] = b'{"type":"%b","object":%b}\n' % (type_.encode(), wire)
        return found


class Watcher(Protocol):
    """One subscription. Events come as (type as this watcher sees it, entry, the shared event) through a callback in
    the loop; the owner writes them out and tells the watcher when it is closed."""

    def close(self) -> None: ...


class WatchSink(Protocol):
    """Who receives a watch's events."""

    def events(self, batch: Sequence[tuple[str, Entry, Event]]) -> None:
        """Take events queued in one turn of the loop; must not block. The batch is shared: do not change it."""
        ...

    def progress(self, revision: int) -> None:
        """Everything up to revision has been delivered (a bookmark may be sent)."""
        ...

    def expired(self) -> None:
        """The watcher fell too far behind or its history is gone; it is closed."""
        ...


class ResourceStore(Protocol):
    """One resource's objects: current state, history, writes."""

    @property
    def revision(self) -> int:
        """The newest revision of the whole store that this cache has seen."""
        ...

    @property
    def authoritative(self) -> bool:
        """Whether reads from memory are linearizable as they are."""
        ...

    async def wait_fresh(self, revision: int = 0) -> None:
        """Return when the cache has seen `revision`, or for 0 all that was written before the call.

        Raises FutureRevisionError when revision does not come within 3 seconds (kube-apiserver's limit).
        """
        ...

    def get(self, namespace: str, name: str) -> Entry | None: ...

    def list(self, selection: Selection) -> Listing:
        """List the current matches; complete, in key order."""
        ...

    async def list_page(
        self, selection: Selection, *, limit: int = 0, continue_token: str = "", exact_revision: int = 0
    ) -> Listing:
        """List with a limit, behind a continue token, or at an exact revision.

        Raises CompactedError, FutureRevisionError, ValueError for a malformed token.
        """
        ...

    def watch(self, selection: Selection, sink: WatchSink, *, after: int) -> Watcher:
        """Deliver changes after a revision (0: first synthetic ADDED events for the current state).

        Raises CompactedError when that history is gone.
        """
        ...

    async def create(self, namespace: str, name: str, obj: Object, *, ttl: int = 0) -> Entry:
        """Write a new object (its resourceVersion is left out) and return it stored. Raises KeyExistsError."""
        ...

    async def update(self, current: Entry, obj: Object, *, ttl: int = 0) -> Entry:
        """Replace `current`; raises RevisionConflictError or KeyNotFoundError when it is no longer current."""
        ...

    async def delete(self, current: Entry, obj: Object | None = None) -> Entry:
        """Delete `current` and return its last state (obj, if given) at the deletion's revision."""
        ...
