"""The scheduling queue: active, backing off, waiting for an event, gated (kube-scheduler's, KEP-4247).

A pod that fits nowhere waits until an event happens of which one of the plugins that turned it down says that it may
help; then it goes on, after its back-off. The back-off doubles with each attempt. When the active queue is empty, pods
whose back-off has not ended are taken all the same, unless what they back off from is an error.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.base.clock import deadline
from sampan.scheduler.interface import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.base.clock import Clock
    from sampan.scheduler.framework import Framework
    from sampan.scheduler.interface import ClusterEvent
    from sampan.scheduler.options import SchedulerOptions
    from sampan.scheduler.podinfo import PodInfo


@dataclass(slots=True)
class QueuedPod:
    """A pod that is not placed. added: since when it is in its present queue. plugins: those that turned it down."""

    pod: PodInfo
    added: float
    first_added: float
    attempts: int = 0
    failed: float = 0.0
    plugins: set[str] = field(default_factory=set)
    gated: bool = False
    error: bool = False


class _Heap:
    """A heap with removal by key."""

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[float, ...], int, str]] = []
        self._entries: dict[str, tuple[int, QueuedPod]] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, item: QueuedPod, rank: tuple[float, ...]) -> None:
        number = next(self._order)
        self._entries[item.pod.key] = (number, item)
        heapq.heappush(self._heap, (rank, number, item.pod.key))

    def peek(self) -> tuple[tuple[float, ...], QueuedPod] | None:
        while self._heap:
            rank, number, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry[0] == number:
                return rank, entry[1]
            heapq.heappop(self._heap)
        return None

    def pop(self) -> QueuedPod | None:
        found = self.peek()
        if found is None:
            return None
        heapq.heappop(self._heap)
        del self._entries[found[1].pod.key]
        return found[1]

    def get(self, key: str) -> QueuedPod | None:
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def remove(self, key: str) -> QueuedPod | None:
        entry = self._entries.pop(key, None)
        return None if entry is None else entry[1]


class SchedulingQueue:
    """Pods that wait to be placed."""

    def __init__(self, framework: Framework, options: SchedulerOptions, clock: Clock) -> None:
        self._framework = framework
        self._options = options
        self._clock = clock
        self._active = _Heap()
        self._backoff = _Heap()
        self._error_backoff = _Heap()
        self._waiting: dict[str, QueuedPod] = {}
        self._ready = asyncio.Event()
        self._timer_changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._active) + len(self._backoff) + len(self._error_backoff) + len(self._waiting)

    def add(self, pod: PodInfo) -> None:
        """Take a pod that has just been seen."""
        now = self._clock.time()
        self._activate(QueuedPod(pod, now, now))

    def update(self, pod: PodInfo, *, helps: bool) -> None:
        """Take a new version of a pod. helps: its own change may make it schedulable."""
        for heap in (self._active, self._backoff, self._error_backoff):
            item = heap.get(pod.key)
            if item is not None:
                changed_rank = item.pod.priority != pod.priority
                item.pod = pod
                if changed_rank and heap is self._active:
                    heap.remove(pod.key)
                    self._activate(item)
                return
        item = self._waiting.get(pod.key)
        if item is None:
            self.add(pod)
            return
        item.pod = pod
        if helps or (item.gated and self._framework.run_pre_enqueue(pod).is_success):
            del self._waiting[pod.key]
            self._requeue(item)

    def remove(self, key: str) -> None:
        """Forget a pod."""
        for heap in (self._active, self._backoff, self._error_backoff):
            heap.remove(key)
        self._waiting.pop(key, None)

    async def pop(self) -> QueuedPod:
        """Wait for a pod to place."""
        while True:
            item = self.pop_nowait()
            if item is not None:
                return item
            self._ready.clear()
            await self._ready.wait()

    def pop_nowait(self) -> QueuedPod | None:
        """Take the first pod to place; None when none is ready."""
        item = self._active.pop() or self._backoff.pop()
        if item is not None:
            item.attempts += 1
        return item

    def fail(self, item: QueuedPod, plugins: Iterable[str], *, error: bool) -> None:
        """Put back a pod that could not be placed. plugins: who turned it down; error: it was nobody's decision."""
        now = self._clock.time()
        item.plugins = set(plugins)
        item.added = item.failed = now
        item.error = error
        if error:
            self._push_backoff(self._error_backoff, item)
        else:
            self._waiting[item.pod.key] = item
            self._timer_changed.set()

    def move(self, event: ClusterEvent) -> None:
        """Move on the pods that an event may help."""
        if not self._waiting:
            return
        for key, item in list(self._waiting.items()):
            if item.gated and event.kind is not EventKind.POD_UPDATE:
                continue
            if not item.plugins or any(self._framework.may_help(one, item.pod, event) for one in item.plugins):
                del self._waiting[key]
                self._requeue(item)

    async def run(self) -> None:
        """Move pods on whose back-off ends, and those that waited too long; until cancelled."""
        flushed = self._clock.monotonic()
        while True:
            self._timer_changed.clear()
            now = self._clock.time()
            for heap in (self._backoff, self._error_backoff):
                while (found := heap.peek()) is not None and found[0][0] <= now:
                    heap.remove(found[1].pod.key)
                    self._activate(found[1])
            if self._clock.monotonic() - flushed >= _FLUSH_SECONDS:
                flushed = self._clock.monotonic()
                self._flush_waiting(now)
            await self._wait_due(now)

    async def _wait_due(self, now: float) -> None:
        """Sleep until the next back-off ends or the next look at the waiting pods is due."""
        due = [found[0][0] for heap in (self._backoff, self._error_backoff) if (found := heap.peek()) is not None]
        seconds = min(max(min(due, default=now + _FLUSH_SECONDS) - now, 0.001), _FLUSH_SECONDS)
        if not due and not self._waiting:
            await self._timer_changed.wait()
            return
        with suppress(TimeoutError):
            async with deadline(self._clock, seconds):
                await self._timer_changed.wait()

    def _flush_waiting(self, now: float) -> None:
        for key, item in list(self._waiting.items()):
            if not item.gated and now - item.added > self._options.unschedulable_timeout:
                del self._waiting[key]
                self._requeue(item)

    def _requeue(self, item: QueuedPod) -> None:
        """To the active queue when its back-off has ended, else to the backing-off pods."""
        if item.attempts and self._backoff_end(item) > self._clock.time():
            self._push_backoff(self._backoff, item)
        else:
            self._activate(item)

    def _push_backoff(self, heap: _Heap, item: QueuedPod) -> None:
        heap.push(item, (self._backoff_end(item),))
        self._timer_changed.set()
        if heap is self._backoff:
            self._ready.set()

    def _backoff_end(self, item: QueuedPod) -> float:
        seconds = self._options.backoff_initial * 2.0 ** min(max(item.attempts - 1, 0), 30)
        return item.failed + min(seconds, self._options.backoff_max)

    def _activate(self, item: QueuedPod) -> None:
        status = self._framework.run_pre_enqueue(item.pod)
        item.gated = not status.is_success
        if item.gated:
            item.plugins = {status.plugin}
            self._waiting[item.pod.key] = item
            return
        item.added = self._clock.time()
        self._active.push(item, self._framework.queue_sort.sort_key(item.pod, item.added))
        self._ready.set()


_FLUSH_SECONDS = 30.0
