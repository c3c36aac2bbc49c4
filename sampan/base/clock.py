"""The clock, injected everywhere so that tests (and later virtual time) decide what time it is.

Production code never calls ``time`` or ``asyncio.sleep`` itself: it takes a `Clock`. `RealClock` is the machine's;
`FakeClock` stands still until `FakeClock.advance`, and wakes sleepers in the order of their deadlines.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Clock(Protocol):
    """Wall time, monotonic time and sleeping."""

    def time(self) -> float:
        """Tell the seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Tell seconds that never go back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock."""
        ...


class RealClock:
    """The machine's clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeClock:
    """A clock that a test moves by hand."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float, *, turns: int = 20) -> None:
        """Move time on, waking every sleeper whose deadline passes, in order.

        turns: how many turns of the event loop woken tasks get to run before time moves further.
        """
        target = self._elapsed + seconds
        await self._settle(turns)
        while self._sleepers and self._sleepers[0][0] <= target:
            deadline, _, future = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, deadline)
            if not future.done():
                future.set_result(None)
                await self._settle(turns)
        self._elapsed = target
        await self._settle(turns)

    @property
    def sleepers(self) -> int:
        """Count the tasks that wait for this clock: a test's condition for "it went to sleep"."""
        return sum(not future.done() for _, _, future in self._sleepers)

    @staticmethod
    async def _settle(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)


def utc(seconds: float) -> datetime:
    """Turn epoch seconds into an aware UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)


@asynccontextmanager
async def deadline(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """Cancel the body and raise TimeoutError when it takes longer than so many seconds of this clock."""
    if isinstance(clock, RealClock):
        async with asyncio.timeout(seconds):
            yield
        return
    async with asyncio.timeout(None) as limit:
        loop = asyncio.get_running_loop()
        timer = asyncio.Task(clock.sleep(seconds), loop=loop, name="deadline")
        timer.add_done_callback(lambda task: None if task.cancelled() else limit.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()
