"""The work queue between event handlers and workers, as client-go's workqueue.

An item is in the queue at most once; while a worker has it, adding it again marks it for another round, so that no two
workers hold the same item. `add_after` delays, `add_rate_limited` delays by the item's failures (5 ms doubled each
time, at most 1000 s) and by a bucket shared by all items (10 a second, bursts of 100). `run` must run for delays to
end.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from sampan.base.clock import deadline

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sampan.base.clock import Clock

T = TypeVar("T", bound="Hashable")


class RateLimiter(Generic[T]):
    """How long a failing item waits. base, limit: seconds; rate: items a second; burst: items."""

    __slots__ = ("_base", "_burst", "_clock", "_failures", "_filled", "_limit", "_rate", "_tokens")

    def __init__(
        self, clock: Clock, *, base: float = 0.005, limit: float = 1000.0, rate: float = 10.0, burst: int = 100
    ) -> None:
        self._clock = clock
        self._base = base
        self._limit = limit
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._filled = clock.monotonic()
        self._failures: dict[T, int] = {}

    def when(self, item: T) -> float:
        """Count a failure and tell the seconds to wait."""
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        own = self._base * 2.0 ** min(failures, 60)
        return max(min(own, self._limit), self._reserve())

    def forget(self, item: T) -> None:
        self._failures.pop(item, None)

    def failures(self, item: T) -> int:
        return self._failures.get(item, 0)

    def _reserve(self) -> float:
        now = self._clock.monotonic()
        self._tokens = min(float(self._burst), self._tokens + (now - self._filled) * self._rate) - 1.0
        self._filled = now
        return 0.0 if self._tokens >= 0 else -self._tokens / self._rate


class WorkQueue(Generic[T]):
    """A deduplicating, delaying, rate-limited queue of one event loop."""

    def __init__(self, clock: Clock, *, limiter: RateLimiter[T] | None = None) -> None:
        self._clock = clock
        self._limiter: RateLimiter[T] = limiter or RateLimiter(clock)
        self._ready: deque[T] = deque()
        self._dirty: set[T] = set()
        self._processing: set[T] = set()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._heap: list[tuple[float, int, T]] = []
        self._due: dict[T, float] = {}
        self._order = itertools.count()
        self._earlier = asyncio.Event()

    def __len__(self) -> int:
        """Count the items that wait for a worker now."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and no worker holds anything; delayed items do not count."""
        return not self._ready and not self._processing

    def add(self, item: T) -> None:
        """Queue an item, unless it waits already."""
        if item in self._dirty:
            return
        self._dirty.add(item)
        if item not in self._processing:
            self._push(item)

    def add_after(self, item: T, seconds: float) -> None:
        """Queue an item after a while; of several delays of one item the earliest counts."""
        if seconds <= 0:
            self.add(item)
            return
        due = self._clock.monotonic() + seconds
        if self._due.get(item, due + 1) <= due:
            return
        self._due[item] = due
        heapq.heappush(self._heap, (due, next(self._order), item))
        if self._heap[0][2] == item:
            self._earlier.set()

    def add_rate_limited(self, item: T) -> None:
        """Queue a failed item after its back-off."""
        self.add_after(item, self._limiter.when(item))

    def forget(self, item: T) -> None:
        """Forget an item's failures."""
        self._limiter.forget(item)

    def failures(self, item: T) -> int:
        """Count an item's failures since it was forgotten."""
        return self._limiter.failures(item)

    async def get(self) -> T:
        """Wait for an item and take it; `done` must follow. Cancelling loses nothing."""
        while not self._ready:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # the wake-up was ours: pass it on
                raise
            finally:
                if waiter in self._getters:
                    self._getters.remove(waiter)
        item = self._ready.popleft()
        self._dirty.discard(item)
        self._processing.add(item)
        return item

    def done(self, item: T) -> None:
        """Give an item back; it is queued again if it was added meanwhile."""
        self._processing.discard(item)
        if item in self._dirty:
            self._push(item)

    async def run(self) -> None:
        """Move delayed items into the queue when their time comes, until cancelled."""
        while True:
            self._earlier.clear()
            now = self._clock.monotonic()
            while self._heap and self._heap[0][0] <= now:
                due, _, item = heapq.heappop(self._heap)
                if self._due.get(item) == due:
                    del self._due[item]
                    self.add(item)
            if not self._heap:
                await self._earlier.wait()
                continue
            try:
                async with deadline(self._clock, self._heap[0][0] - now):
                    await self._earlier.wait()
            except TimeoutError:
                continue

    def _push(self, item: T) -> None:
        self._ready.append(item)
        self._wake()

    def _wake(self) -> None:
        while self._getters:
            waiter = self._getters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
