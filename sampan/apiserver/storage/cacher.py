"""The watch cache of one resource: current entries, recent history, watchers, and writes through to the backend.

Implements `resourcestore.ResourceStore` over any backend. Reads come from memory. With a `LocalBackend` a write becomes
visible here in the very step in which it became durable, before its writer is answered; with a remote one the cache
follows the backend's watch. Lists at old revisions are rebuilt from the history, and beyond it by the backend.
"""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from sampan.apiserver.storage import tokens, wire
from sampan.apiserver.storage.dispatch import Dispatcher
from sampan.apiserver.storage.entry import Entry, Kind
from sampan.apiserver.storage.history import History
from sampan.apiserver.storage.interface import (
    CompactedError,
    ContinueExpiredError,
    KeyExistsError,
    KeyNotFoundError,
    Record,
    RevisionConflictError,
    StoreUnavailableError,
)
from sampan.apiserver.storage.objects import Objects, is_plain, matches, split_key
from sampan.apiserver.storage.resourcestore import Event, Listing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from sampan.api.object import Object
    from sampan.apiserver.storage.interface import Change, LocalBackend
    from sampan.apiserver.storage.resourcestore import Selection, Watcher, WatchSink
    from sampan.apiserver.storage.store import Store


class ResourceCache:
    """One resource's objects. prefix: of its keys. Made by `Store`, which feeds it."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.prefix = prefix
        self._store = store
        self._kind = Kind()
        self._objects = Objects()
        self._pending: dict[str, tuple[int, Entry | None]] = {}
        self._changed = store.revision
        self.history = History(store.revision)
        self.watchers = Dispatcher(self.history, self._revision, store.schedule_flush)

    def select_by(self, selectable: Callable[[Object], Mapping[str, str]]) -> None:
        """Say how the values of the selectable fields are computed; before anyone selects by them."""
        self._kind.selectable = selectable

    # Reading

    @property
    def revision(self) -> int:
        return self._store.revision

    @property
    def authoritative(self) -> bool:
        return self._store.authoritative

    def __len__(self) -> int:
        return len(self._objects)

    async def wait_fresh(self, revision: int = 0) -> None:
        await self._store.wait_fresh(revision)

    def get(self, namespace: str, name: str) -> Entry | None:
        return self._objects.get(namespace, name)

    def newest(self, namespace: str, name: str) -> Entry | None:
        if self._pending and (found := self._pending.get(self._key(namespace, name))) is not None:
            return found[1]
        return self._objects.get(namespace, name)

    async def settled(self, namespace: str, name: str) -> None:
        if (local := self._store.local) is not None:
            await local.settle(self._key(namespace, name))

    def list(self, selection: Selection) -> Listing:
        entries = self._objects.select(selection)
        return Listing(entries=entries, revision=self._store.revision, remaining=0 if is_plain(selection) else None)

    async def list_page(
        self, selection: Selection, *, limit: int = 0, continue_token: str = "", exact_revision: int = 0
    ) -> Listing:
        prefix = f"{self.prefix}{selection.namespace}/" if selection.namespace else self.prefix
        after, revision = "", exact_revision
        if continue_token:
            after, revision = tokens.decode(continue_token, prefix)
            revision = max(revision, 0)
        if revision > self._store.revision:
            await self._store.wait_fresh(revision)
        if not revision or revision >= self._changed:
            revision = revision or self._store.revision
            entries = self._objects.candidates(selection, after)
            return self._page(selection, entries, prefix, limit=limit, revision=revision, overlay={})
        if revision >= self.history.oldest:
            overlay = self.history.undo(revision)
            entries = self._overlaid(selection.namespace, overlay, after)
            return self._page(selection, entries, prefix, limit=limit, revision=revision, overlay=overlay)
        paging = bool(continue_token)
        return await self._page_of_backend(selection, prefix, after, limit=limit, revision=revision, paging=paging)

    def watch(self, selection: Selection, sink: WatchSink, *, after: int) -> Watcher:
        current = () if after else self._objects.select(selection)
        return self.watchers.add(selection, sink, after=after, current=current)

    def _revision(self) -> int:
        return self._store.revision

    def _page(
        self,
        selection: Selection,
        entries: Iterator[Entry],
        prefix: str,
        *,
        limit: int,
        revision: int,
        overlay: Mapping[str, Entry | None],
    ) -> Listing:
        plain = is_plain(selection)
        if not plain:
            entries = (entry for entry in entries if matches(selection, entry))
        if not limit:
            return Listing(entries=list(entries), revision=revision, remaining=0 if plain else None)
        found = list(islice(entries, limit))
        # As kube-apiserver: a token promises further keys, not further matches; a name leaves nothing to continue.
        following = 0
        if len(found) == limit and not selection.name:
            following = self._behind(selection.namespace, found[-1].key, overlay)
        token = tokens.encode(found[-1].key, prefix, revision) if following else ""
        return Listing(entries=found, revision=revision, continue_token=token, remaining=following if plain else None)

    def _behind(self, namespace: str, key: str, overlay: Mapping[str, Entry | None]) -> int:
        """Count the keys of a namespace behind key, with history laid over."""
        count = self._objects.behind(namespace, key)
        for changed, entry in overlay.items():
            if changed > key and (not namespace or split_key(changed)[0] == namespace):
                count += (entry is not None) - (self._objects.get(*split_key(changed)) is not None)
        return count

    def _overlaid(self, namespace: str, overlay: Mapping[str, Entry | None], after: str) -> Iterator[Entry]:
        current = (entry for entry in self._objects.iterate(namespace, after) if entry.key not in overlay)
        old = [
            entry
            for key, entry in overlay.items()
            if entry is not None and key > after and (not namespace or entry.namespace == namespace)
        ]
        old.sort(key=_by_key)
        return merge(current, old, key=_by_key)

    async def _page_of_backend(
        self, selection: Selection, prefix: str, after: str, *, limit: int, revision: int, paging: bool
    ) -> Listing:
        """List what only the backend still knows; in chunks, since a selection may need many for one page."""
        found: list[Entry] = []
        at, more, remaining = after, True, 0
        while more and (not limit or len(found) < limit):
            want = limit - len(found) if limit else 0
            try:
                page = await self._store.backend.list(prefix, after=at, limit=want, revision=revision)
            except CompactedError as error:
                if paging:
                    token = tokens.encode(at, prefix, tokens.LATEST)
                    raise ContinueExpiredError(revision, error.revision, token) from error
                raise
            entries = [self.read(record) for record in page.records]
            found += [entry for entry in entries if matches(selection, entry)]
            more, remaining = page.more, page.remaining
            at = entries[-1].key if entries else at
        token = tokens.encode(at, prefix, revision) if more else ""
        return Listing(
            entries=found, revision=revision, continue_token=token, remaining=remaining if is_plain(selection) else None
        )

    # Writing

    async def create(self, namespace: str, name: str, obj: Object, *, ttl: int = 0) -> Entry:
        return await self._write(namespace, name, obj, wire.encode(obj), expected=0, ttl=ttl)

    async def update(self, current: Entry, obj: Object, *, ttl: int = 0) -> Entry:
        value = wire.encode(obj)
        if wire.splice(value, wire.offset(value), current.revision) == current.wire:
            await self.settled(current.namespace, current.name)
            return current
        return await self._write(current.namespace, current.name, obj, value, expected=current.revision, ttl=ttl)

    async def delete(self, current: Entry, obj: Object | None = None) -> Entry:
        local = self._store.local
        if local is None:
            deletion = self._store.backend.delete(current.key, expected=current.revision)
            gone = current.at(await self._remotely(deletion))
        else:
            gone = await self._submit(local, current.key, None, current.at, expected=current.revision, ttl=0)
        if obj is None:
            return gone
        value = wire.encode(obj)
        return Entry(
            gone.key, gone.namespace, gone.name, gone.revision, wire.splice(value, wire.offset(value), gone.revision)
        )

    async def _write(self, namespace: str, name: str, obj: Object, value: bytes, *, expected: int, ttl: int) -> Entry:
        at = wire.offset(value)
        kind, key = self._kind, self._key(namespace, name)
        labels = dict(obj["metadata"].get("labels") or ())
        fields = None if kind.selectable is None else kind.selectable(obj)

        def entry(revision: int) -> Entry:
            return Entry(key, namespace, name, revision, wire.splice(value, at, revision), labels, fields, kind)

        local = self._store.local
        if local is not None:
            return await self._submit(local, key, value, entry, expected=expected, ttl=ttl)
        backend = self._store.backend
        if expected:
            return entry(await self._remotely(backend.update(key, value, expected=expected, ttl=ttl)))
        return entry(await self._remotely(backend.create(key, value, ttl=ttl)))

    async def _remotely(self, write: Awaitable[int]) -> int:
        """Await a remote write; when it is refused, first let the cache see why, so that a retry is not in vain."""
        try:
            return await write
        except (KeyExistsError, KeyNotFoundError, RevisionConflictError):
            await self._store.wait_fresh()
            raise

    async def _submit(
        self,
        local: LocalBackend,
        key: str,
        value: bytes | None,
        build: Callable[[int], Entry],
        *,
        expected: int,
        ttl: int,
    ) -> Entry:
        while True:
            try:
                ticket = local.submit(key, value, expected=expected, ttl=ttl)
            except (KeyExistsError, KeyNotFoundError, RevisionConflictError):
                if not await local.settle(key):
                    raise
                continue
            entry = build(ticket.revision)
            self._pending[key] = (ticket.revision, None if value is None else entry)
            self._store.expect(ticket.revision, self, entry)
            await ticket.done
            return entry

    def _key(self, namespace: str, name: str) -> str:
        return f"{self.prefix}{namespace}/{name}" if namespace else self.prefix + name

    # What the store feeds

    def read(self, record: Record) -> Entry:
        """Make the entry of a stored record. Raises StoreUnavailableError when it is none of ours."""
        namespace, name = split_key(record.key)
        value = record.value
        try:
            spliced = wire.splice(value, wire.offset(value), record.revision)
        except ValueError as error:
            raise StoreUnavailableError(
                f"{record.key} was not written by sampan ({error}): give sampan a data store of its own"
            ) from error
        return Entry(record.key, namespace, name, record.revision, spliced, kind=self._kind)

    def load(self, record: Record) -> None:
        """Take an object that was there before this process."""
        self._objects.put(self.read(record))

    def begin(self, revision: int) -> None:
        """Say that all that was there at revision is loaded; what happened before is not known."""
        self._changed = revision
        self.history.restart(revision)

    def take(self, change: Change, now: float) -> None:
        """Take a change that this process did not make (or whose entry it does not know)."""
        if change.value is not None:
            self.put(self.read(Record(change.key, change.value, change.revision)), now)
        elif (last := self._objects.get(*split_key(change.key))) is not None:
            self.remove(last.at(change.revision), now)

    def put(self, entry: Entry, now: float) -> None:
        """Take a new version. now: monotonic seconds."""
        previous = self._objects.put(entry)
        self._happened(Event("ADDED" if previous is None else "MODIFIED", entry, previous), now)

    def remove(self, entry: Entry, now: float) -> None:
        """Take a deletion; entry: the last state at the deletion's revision."""
        previous = self._objects.remove(entry.namespace, entry.name)
        if previous is not None:
            self._happened(Event("DELETED", entry, previous), now)

    def _happened(self, event: Event, now: float) -> None:
        entry, previous = event.entry, event.previous
        if self._pending and (pending := self._pending.get(entry.key)) is not None and pending[0] <= entry.revision:
            del self._pending[entry.key]
        if previous is not None:
            previous.release()
        self._changed = entry.revision
        self.history.append(event, now)
        self.watchers.offer(event)

    def forget_pending(self) -> None:
        """Every pending write has failed."""
        self._pending.clear()

    def reset(self, records: Sequence[Record], revision: int) -> None:
        """Begin anew from the current records, after changes were missed: every watcher has expired."""
        self._objects = Objects()
        for record in records:
            self.load(record)
        self.begin(revision)
        self.watchers.expire()


def _by_key(entry: Entry) -> str:
    return entry.key
