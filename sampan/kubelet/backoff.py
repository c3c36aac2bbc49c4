"""Exponential back-off per key, as kubelet uses it for crashing containers and failing image pulls.

Modelled on client-go's flowcontrol.Backoff: the delay doubles from `initial` to `limit` and starts anew after twice
the limit without an event. Times are seconds of any one clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Entry:
    delay: float
    updated: float


class Backoff:
    """Delays per key. initial, limit: seconds."""

    def __init__(self, initial: float = 10.0, limit: float = 300.0) -> None:
        self._initial = initial
        self._limit = limit
        self._entries: dict[str, _Entry] = {}

    def delay(self, key: str) -> float:
        """Tell the current delay, 0 when there was no event."""
        entry = self._entries.get(key)
        return entry.delay if entry else 0.0

    def remaining(self, key: str, *, since: float, now: float) -> float:
        """Tell how many seconds are left of the delay counted from `since`; 0 or less: go on."""
        entry = self._entries.get(key)
        if entry is None or since - entry.updated > 2 * self._limit:
            return 0.0
        return entry.delay - (now - since)

    def remaining_since_update(self, key: str, *, now: float) -> float:
        """Tell how many seconds are left of the delay counted from the last event."""
        entry = self._entries.get(key)
        if entry is None or now - entry.updated > 2 * self._limit:
            return 0.0
        return entry.delay - (now - entry.updated)

    def next(self, key: str, *, at: float, now: float) -> None:
        """Count an event that happened `at`; the next delay is longer."""
        entry = self._entries.get(key)
        if entry is None or at - entry.updated > 2 * self._limit:
            self._entries[key] = _Entry(self._initial, now)
            return
        entry.delay = min(entry.delay * 2, self._limit)
        entry.updated = now

    def reset(self, key: str) -> None:
        self._entries.pop(key, None)

    def collect(self, *, now: float) -> None:
        """Forget keys without an event for twice the limit."""
        for key in [key for key, entry in self._entries.items() if now - entry.updated > 2 * self._limit]:
            del self._entries[key]
