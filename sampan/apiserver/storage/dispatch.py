"""Hands events to watchers: found by index, evaluated once per distinct selection, delivered once per turn of the loop.

Watchers with the same selection form a group that evaluates an event once and shares one batch. A group hangs in one
place only, its most selective one (name, field, label, namespace), so 5 000 node agents that each watch their own pods
cost an event two dictionary look-ups.

A watcher that pauses keeps a revision and no events: when it resumes, it catches up from the history, or has expired.
A new watcher begins in the same way. So a slow client costs nothing, and hurts nobody.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from sampan.apiserver.storage.interface import CompactedError
from sampan.apiserver.storage.objects import is_plain, matches
from sampan.apiserver.storage.resourcestore import Batch, Event
from sampan.base.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.history import History
    from sampan.apiserver.storage.resourcestore import Selection, WatchSink

log = logger("storage")

_Place = tuple[str, str, str]
"""Where a group is found: (kind, key, value), e.g. ("field", "spec.nodeName", "n1")."""


class _State(Enum):
    JOINING = 1
    LIVE = 2
    PAUSED = 3
    CLOSED = 4


class _Group:
    """The watchers of one selection."""

    __slots__ = ("pending", "place", "plain", "selection", "watchers")

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.place = _place(selection)
        self.plain = is_plain(selection)
        self.pending = Batch()
        self.watchers: dict[CacheWatcher, None] = {}

    def seen(self, event: Event) -> tuple[str, Entry, Event] | None:
        """How an event looks through the selection; None for not at all."""
        selection, entry, previous = self.selection, event.entry, event.previous
        if self.plain:
            selected = not selection.namespace or entry.namespace == selection.namespace
            return (event.type, entry, event) if selected else None
        if event.type == "DELETED":
            return ("DELETED", entry, event) if matches(selection, previous or entry) else None
        before = previous is not None and matches(selection, previous)
        if matches(selection, entry):
            return "MODIFIED" if before else "ADDED", entry, event
        return ("DELETED", event.left(), event) if before else None


class CacheWatcher:
    """One subscription; see `resourcestore.Watcher`."""

    __slots__ = ("_dispatcher", "_initial", "_position", "_state", "group", "sink")

    def __init__(
        self, dispatcher: Dispatcher, group: _Group, sink: WatchSink, position: int, initial: Batch | None
    ) -> None:
        self._dispatcher = dispatcher
        self._position = position
        self._initial = initial
        self._state = _State.JOINING
        self.group = group
        self.sink = sink

    @property
    def delivered(self) -> int:
        if self._initial is not None:
            return 0
        if self._state is _State.LIVE:
            return max(self._position, self._dispatcher.delivered)
        return self._position

    def close(self) -> None:
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._initial = None
            self._dispatcher.remove(self)

    def pause(self) -> None:
        if self._state is _State.LIVE:
            self._position = self.delivered
        if self._state is not _State.CLOSED:
            self._state = _State.PAUSED

    def resume(self) -> None:
        if self._state is _State.PAUSED:
            self._state = _State.JOINING
            self._dispatcher.join(self)

    def expire(self) -> None:
        """End the watch and tell its sink."""
        if self._state is not _State.CLOSED:
            self.close()
            self.sink.expired()

    def _closed(self) -> bool:
        return self._state is _State.CLOSED

    def progress(self) -> None:
        if self._state is _State.LIVE:
            self.sink.progress(self.delivered)

    def catch_up(self, history: History, revision: int) -> None:
        """Deliver what is missing up to revision, the newest; from then on events come live."""
        initial = self._initial
        if self._state is _State.JOINING and initial is not None:
            self._initial = None
            if initial:
                self.sink.events(initial)
            if not self._closed():
                self.sink.progress(self._position)
        if self._state is not _State.JOINING:
            return
        if self._position < history.oldest:
            self.expire()
            return
        missed = Batch(seen for event in history.since(self._position) if (seen := self.group.seen(event)) is not None)
        self._position = max(self._position, revision)
        self._state = _State.LIVE
        if missed:
            self.sink.events(missed)

    def deliver(self, batch: Batch) -> None:
        """Pass on a live batch, but for what lies before a start in the future."""
        if self._state is not _State.LIVE:
            return
        if batch[0][2].entry.revision <= self._position:
            batch = Batch(one for one in batch if one[2].entry.revision > self._position)
        if batch:
            self.sink.events(batch)


class Dispatcher:
    """The watchers of one resource. revision: tells the cache's newest revision; schedule: asks for a `flush`."""

    def __init__(self, history: History, revision: Callable[[], int], schedule: Callable[[Dispatcher], None]) -> None:
        self._history = history
        self._revision = revision
        self._schedule = schedule
        self._groups: dict[_Place, dict[Selection, _Group]] = {}
        self._indexed: dict[tuple[str, str], int] = {}
        self._dirty: list[_Group] = []
        self._joining: list[CacheWatcher] = []
        self._offered: list[Event] = []
        self._floor = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def delivered(self) -> int:
        """Everything up to this revision is with the live watchers."""
        return self._floor if self._dirty else self._revision()

    def add(self, selection: Selection, sink: WatchSink, *, after: int, current: Iterable[Entry]) -> CacheWatcher:
        """Subscribe. after 0: begin with `current`, the matches at this moment. Raises CompactedError."""
        if after and after < self._history.oldest:
            raise CompactedError(after, self._history.oldest)
        initial = None if after else Batch(("ADDED", entry, Event("ADDED", entry, None)) for entry in current)
        group = self._group(selection)
        watcher = CacheWatcher(self, group, sink, after or self._revision(), initial)
        group.watchers[watcher] = None
        self._count += 1
        self.join(watcher)
        return watcher

    def join(self, watcher: CacheWatcher) -> None:
        """Let a watcher catch up at the next flush."""
        self._joining.append(watcher)
        self._schedule(self)

    def remove(self, watcher: CacheWatcher) -> None:
        group = watcher.group
        del group.watchers[watcher]
        self._count -= 1
        if group.watchers:
            return
        place = group.place
        del self._groups[place][group.selection]
        if not self._groups[place]:
            del self._groups[place]
        indexed = place[:2]
        self._indexed[indexed] -= 1
        if not self._indexed[indexed]:
            del self._indexed[indexed]

    def offer(self, event: Event) -> None:
        """Queue an event for those whom it concerns."""
        if not self._count:
            return
        before = len(self._dirty)
        concerned = False
        for group in self._candidates(event):
            if (seen := group.seen(event)) is not None:
                concerned = True
                if not group.pending:
                    self._dirty.append(group)
                group.pending.append(seen)
        if concerned:
            if not before:
                self._floor = event.entry.revision - 1
            self._offered.append(event)
            self._schedule(self)

    def flush(self) -> None:
        """Deliver all that is queued, then bring in those who join."""
        dirty, self._dirty = self._dirty, []
        for group in dirty:
            batch, group.pending = group.pending, Batch()
            for watcher in tuple(group.watchers):
                try:
                    watcher.deliver(batch)
                except Exception:  # noqa: BLE001 - one watcher's fault must not take the events of the others
                    _fault(watcher)
        joining, self._joining = self._joining, []
        revision = self._revision()
        for watcher in joining:
            try:
                watcher.catch_up(self._history, revision)
            except Exception:  # noqa: BLE001 - as above
                _fault(watcher)
        offered, self._offered = self._offered, []
        for event in offered:
            event.forget()

    def progress(self) -> None:
        """Tell every live watcher how far it is."""
        for watcher in self._all():
            watcher.progress()

    def expire(self) -> None:
        """End every watcher: the history behind them is gone."""
        for watcher in self._all():
            watcher.expire()

    def _all(self) -> list[CacheWatcher]:
        return [watcher for groups in self._groups.values() for group in groups.values() for watcher in group.watchers]

    def _group(self, selection: Selection) -> _Group:
        place = _place(selection)
        groups = self._groups.setdefault(place, {})
        group = groups.get(selection)
        if group is None:
            group = groups[selection] = _Group(selection)
            self._indexed[place[:2]] = self._indexed.get(place[:2], 0) + 1
        return group

    def _candidates(self, event: Event) -> Iterator[_Group]:
        entry, previous = event.entry, event.previous
        groups = self._groups
        for kind, key in self._indexed:
            if kind == "field":
                value: str | None = entry.fields.get(key, "")
                old = value if previous is None else previous.fields.get(key, "")
            elif kind == "label":
                value = entry.labels.get(key)
                old = value if previous is None else previous.labels.get(key)
            else:
                value = old = entry.namespace if kind == "namespace" else entry.name if kind == "name" else ""
            if value is not None and (found := groups.get((kind, key, value))):
                yield from found.values()
            if old != value and old is not None and (found := groups.get((kind, key, old))):
                yield from found.values()


def _place(selection: Selection) -> _Place:
    if selection.name:
        return "name", "", selection.name
    if selection.fields:
        return ("field", *selection.fields[0])
    if selection.labels:
        return ("label", *selection.labels[0])
    return ("namespace", "", selection.namespace) if selection.namespace else ("all", "", "")


def _fault(watcher: CacheWatcher) -> None:
    log.exception("A watcher failed and was closed")  # noqa: LOG004 - called from handlers
    watcher.close()
