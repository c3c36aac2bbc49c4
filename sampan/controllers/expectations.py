"""Expectations: what a controller has written but not yet seen in its cache.

A controller that made 3 pods must not look at a cache that shows 1 of them and make 2 more. It says what it expects,
informer events fulfil it, and until then (at most 5 minutes, should an event have been lost by an error of ours) its
object is not acted upon. As kube-controller-manager's UIDTrackingControllerExpectations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from sampan.base.clock import Clock

K = TypeVar("K", bound="Hashable")

_TIMEOUT = 300.0


@dataclass(slots=True)
class _Expected:
    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)


class Expectations(Generic[K]):
    """Expected creations (counted) and deletions (by the dependents' keys) per controlled object."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected: dict[K, _Expected] = {}

    def expect_creations(self, key: K, count: int) -> None:
        """Expect so many new dependents; replaces what was expected before."""
        self._expected[key] = _Expected(self._clock.monotonic(), creations=count)

    def expect_deletions(self, key: K, dependents: Iterable[str]) -> None:
        """Expect these dependents to go; replaces what was expected before."""
        self._expected[key] = _Expected(self._clock.monotonic(), deletions=set(dependents))

    def expect(self, key: K, creations: int, dependents: Iterable[str]) -> None:
        """Expect creations and deletions at once."""
        self._expected[key] = _Expected(self._clock.monotonic(), creations, set(dependents))

    def creation_observed(self, key: K, count: int = 1) -> None:
        """One expected creation happened, or will not happen."""
        expected = self._expected.get(key)
        if expected is not None:
            expected.creations -= count

    def deletion_observed(self, key: K, dependent: str) -> None:
        """An expected deletion happened, or will not happen."""
        expected = self._expected.get(key)
        if expected is not None:
            expected.deletions.discard(dependent)

    def satisfied(self, key: K) -> bool:
        """Whether the cache shows all that was done, or it has been waited for too long."""
        expected = self._expected.get(key)
        if expected is None or (expected.creations <= 0 and not expected.deletions):
            return True
        return self._clock.monotonic() - expected.since > _TIMEOUT

    def forget(self, key: K) -> None:
        """The controlled object is gone."""
        self._expected.pop(key, None)
