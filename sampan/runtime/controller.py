"""A controller: a queue of requests, workers that hand them to a reconciler, and background services.

The same request is never reconciled twice at the same time. Errors are logged and retried with back-off; a Conflict is
the ordinary way of learning that a cache was stale and is retried silently.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.api.errors import Conflict
from sampan.base.log import logger
from sampan.base.tasks import STARTED_IGNORED, serve
from sampan.client.workqueue import WorkQueue
from sampan.runtime.interface import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from sampan.base.clock import Clock
    from sampan.base.tasks import Started
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored
    from sampan.runtime.interface import Reconciler

log = logger("runtime.controller")


class Controller:
    """One named controller.

    workers: how many requests are reconciled at once. services: coroutine functions that run beside the workers until
    cancelled. informers: caches that must have synced before any of them starts.
    """

    def __init__(
        self,
        name: str,
        reconciler: Reconciler | None,
        *,
        clock: Clock,
        queue: WorkQueue[Request] | None = None,
        workers: int = 5,
        services: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (),
        informers: Sequence[SharedInformer] = (),
    ) -> None:
        self.name = name
        self.informers = informers
        self.queue: WorkQueue[Request] = WorkQueue(clock) if queue is None else queue
        self._reconciler = reconciler
        self._workers = workers
        self._services = services

    async def run(self, started: Started = STARTED_IGNORED) -> None:
        """Work until cancelled, once the informers have synced."""
        for informer in self.informers:
            await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            serve(group, self.queue.run(), name=f"{self.name} delays")
            if self._reconciler is not None:
                for number in range(self._workers):
                    serve(group, self._work(self._reconciler), name=f"{self.name} worker {number}")
            for service in self._services:
                serve(group, service(), name=f"{self.name} {service.__name__}")
            started()

    async def _work(self, reconciler: Reconciler) -> None:
        while True:
            request = await self.queue.get()
            try:
                await self._reconcile(reconciler, request)
            finally:
                self.queue.done(request)

    async def _reconcile(self, reconciler: Reconciler, request: Request) -> None:
        try:
            result = await reconciler.reconcile(request)
        except Conflict as error:
            log.debug("Reconciling met a conflict", controller=self.name, object=request, error=error)
            self.queue.add_rate_limited(request)
        except Exception as error:
            if self.queue.failures(request) < 3:
                log.debug("Reconciling failed", controller=self.name, object=request, error=repr(error))
            else:
                log.exception("Reconciling failed", controller=self.name, object=request)
            self.queue.add_rate_limited(request)
        else:
            if result.requeue:
                self.queue.add_rate_limited(request)
                return
            self.queue.forget(request)
            if result.requeue_after is not None:
                self.queue.add_after(request, result.requeue_after)


_SECONDS_PER_DEPENDENT = 50e-6
_LEAST_BATCH, _LONGEST_BATCH = 0.005, 0.5


def add_batched(queue: WorkQueue[Request], request: Request, dependents: int) -> None:
    """Queue a request whose reconciling looks at many dependents, after a while that grows with their number.

    So 5 000 pods that become ready one after the other cost 20 looks at all of them, not 5 000; with up to 100
    dependents nothing is delayed.
    """
    delay = dependents * _SECONDS_PER_DEPENDENT
    if delay < _LEAST_BATCH:
        queue.add(request)
    else:
        queue.add_after(request, min(delay, _LONGEST_BATCH))


def request_of(item: Stored) -> Request:
    """The request for an item."""
    return Request(item.namespace, item.name)


def enqueue(queue: WorkQueue[Request]) -> Callable[[Stored | None, Stored | None], None]:
    """Make an informer handler that queues every object that appears, changes or goes."""

    def handler(old: Stored | None, new: Stored | None) -> None:
        item = new or old
        if item is not None:
            queue.add(Request(item.namespace, item.name))

    return handler
