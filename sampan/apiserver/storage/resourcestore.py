"""What the registry sees of storage: one `ResourceStore` per resource, implemented by the watch cache.

Reads are synchronous, from memory; when the backend has other writers (etcd), ``wait_fresh`` first makes them
linearizable. Errors are the backends' (`storage.interface`); `storage.translate` turns them into API errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sampan.api.object import Object
    from sampan.apiserver.storage.entry import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries a list or watch is about. Conditions are ANDed.

    namespace: "" for all. name: "" for all. labels: exact label pairs that every match has (an index may serve them).
    fields: exact values of selectable fields likewise. matches: the full condition, None when these say all.
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

    __slots__ = ("_left", "_lines", "entry", "previous", "type")

    def __init__(self, type_: str, entry: Entry, previous: Entry | None) -> None:
        self.type = type_
        self.entry = entry
        self.previous = previous
        self._lines: dict[str, bytes] | None = None
        self._left: Entry | None = None

    def line(self, type_: str, entry: Entry | None = None) -> bytes:
        """Encode the line of a JSON watch, once per type. entry: as delivered, where it is not the event's own."""
        lines = self._lines
        if lines is None:
            lines = self._lines = {}
        found = lines.get(type_)
        if found is None:
            wire = (entry or self.entry).wire
            found = lines[type_] = b'{"type":"%b","object":%b}\n' % (type_.encode(), wire)
        return found

    def left(self) -> Entry:
        """Give what comes with DELETED when the object ceases to match: its state before, at this revision."""
        left = self._left
        if left is None:
            left = self._left = (self.previous or self.entry).at(self.entry.revision)
        return left

    def forget(self) -> None:
        """Drop the encoded lines: all watchers of the moment have them, and the history needs them hardly ever."""
        self._lines = None
        self._left = None


class Batch(list["tuple[str, Entry, Event]"]):
    """Events that were queued in one turn of the loop: (type as the watcher sees it, entry, the shared event).

    Shared by all watchers of one selection; not to be changed. memo: where sinks keep encodings of the whole batch, so
    that a hundred watchers make each but once, by media type.
    """

    __slots__ = ("memo",)

    memo: dict[str, bytes]

    def __init__(self, events: Iterable[tuple[str, Entry, Event]] = ()) -> None:
        super().__init__(events)
        self.memo = {}

    def lines(self) -> bytes:
        """All JSON watch lines."""
        found = self.memo.get("lines")
        if found is None:
            found = self.memo["lines"] = b"".join([event.line(type_, entry) for type_, entry, event in self])
        return found


class Watcher(Protocol):
    """One subscription. Its owner closes it; it closes itself when it expires."""

    @property
    def delivered(self) -> int:
        """Everything up to this revision is with the sink: what a bookmark may say. 0 before the initial state."""
        ...

    def close(self) -> None:
        """Deliver nothing more."""
        ...

    def pause(self) -> None:
        """Deliver nothing until `resume`: the client reads too slowly.

        Events are not kept for it meanwhile; on resume it catches up from the history, or expires.
        """
        ...

    def resume(self) -> None: ...


class WatchSink(Protocol):
    """Who receives a watch's events, in the loop; never from within the call to `ResourceStore.watch`."""

    def events(self, batch: Batch) -> None:
        """Take events queued in one turn of the loop; must not block. The batch is shared: do not change it."""
        ...

    def progress(self, revision: int) -> None:
        """Everything up to revision has been delivered (a bookmark may be sent).

        Called once right behind the initial state of a watch with after=0, and about once a minute.
        """
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

    def __len__(self) -> int:
        """How many objects there are; costs nothing."""
        ...

    async def wait_fresh(self, revision: int = 0) -> None:
        """Return when the cache has seen `revision`, or for 0 all that was written before the call.

        Raises FutureRevisionError when revision does not come within 3 seconds (kube-apiserver's limit).
        """
        ...

    def get(self, namespace: str, name: str) -> Entry | None:
        """Look up the current version: a committed one, that any reader may see."""
        ...

    def newest(self, namespace: str, name: str) -> Entry | None:
        """Look up the version to build a change upon: a pending one, if a write is under way.

        For reading, changing and `update` or `delete` only: their answer waits for everything that they build upon. So
        concurrent changes of one object chain into one commit, where with `get` all but one would conflict.
        """
        ...

    async def settled(self, namespace: str, name: str) -> None:
        """Return when no write of the object is under way; call it before answering on the ground of `newest`."""
        ...

    def list(self, selection: Selection) -> Listing:
        """List the current matches; complete, in key order."""
        ...

    async def list_page(
        self, selection: Selection, *, limit: int = 0, continue_token: str = "", exact_revision: int = 0
    ) -> Listing:
        """List with a limit, behind a continue token, or at an exact revision.

        Every page comes from the revision of the first one. With a selection, a token may lead to an empty last page:
        it says that keys follow, not that matches do. Raises CompactedError (ContinueExpiredError behind a token),
        FutureRevisionError, ContinueTokenError.
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
        """Replace `current`; raises RevisionConflictError or KeyNotFoundError when it is no longer current.

        Writing what is there already changes nothing: `current` itself is returned, at its old revision.
        """
        ...

    async def delete(self, current: Entry, obj: Object | None = None) -> Entry:
        """Delete `current` and return its last state (obj, if given) at the deletion's revision.

        Watchers see the state that was stored. Raises as `update` does.
        """
        ...
