"""What happened to one resource of late: the events that watches catch up with and old lists are rebuilt from.

Bounded by age and by the bytes of superseded objects that it keeps alive. What is older, the backend may still know.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.apiserver.storage.entry import Entry
    from sampan.apiserver.storage.resourcestore import Event

_SECONDS = 300.0
"""Events are kept so long: a client that lost its connection resumes well within; etcd's history is as long."""

_BYTES = 16 << 20
"""Bytes of superseded objects kept for one resource: about 5 000 changes of a pod."""

_AT_LEAST = 128
"""Events kept whatever their size or age, about kube-apiserver's smallest watch cache."""

_EVENT_BYTES = 300
"""What an event costs besides the object: its own entry's head and the event itself."""


class History:
    """Recent events of one resource, oldest first. oldest: the smallest revision from which nothing is missing."""

    def __init__(self, oldest: int) -> None:
        self.oldest = oldest
        self._events: deque[tuple[Event, float]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._events)

    def append(self, event: Event, now: float) -> None:
        """Add the newest event. now: monotonic seconds."""
        self._events.append((event, now))
        self._bytes += _cost(event)
        if self._bytes > _BYTES or now - self._events[0][1] > _SECONDS:
            self.trim(now)

    def trim(self, now: float) -> None:
        """Forget what is too old, or too much."""
        events = self._events
        while len(events) > _AT_LEAST and (self._bytes > _BYTES or now - events[0][1] > _SECONDS):
            event, _ = events.popleft()
            self._bytes -= _cost(event)
            self.oldest = event.entry.revision

    def restart(self, oldest: int) -> None:
        """Begin anew at a revision: what happened before is unknown."""
        self._events.clear()
        self._bytes = 0
        self.oldest = oldest

    def since(self, after: int) -> list[Event]:
        """List the events with a revision greater than `after`, which is at least `oldest`."""
        found = []
        for event, _ in reversed(self._events):
            if event.entry.revision <= after:
                break
            found.append(event)
        found.reverse()
        return found

    def undo(self, revision: int) -> dict[str, Entry | None]:
        """What must be put over the current objects to see them at a revision: key -> entry, None for absent."""
        overlay: dict[str, Entry | None] = {}
        for event, _ in reversed(self._events):
            if event.entry.revision <= revision:
                break
            overlay[event.entry.key] = event.previous
        return overlay


def _cost(event: Event) -> int:
    return _EVENT_BYTES if event.previous is None else _EVENT_BYTES + len(event.previous.wire)
