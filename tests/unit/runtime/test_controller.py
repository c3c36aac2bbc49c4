"""Controllers: retries, requeues, one request at a time; the manager's order."""

import asyncio
import random

from sampan.api import errors
from sampan.base.clock import FakeClock
from sampan.client.client import Client
from sampan.client.informer import InformerFactory
from sampan.client.resources import CONFIGMAPS
from sampan.runtime import DONE, Controller, Manager, Request, Result, enqueue
from sampan.testing.fake import FakeTransport


class Reconciler:
    def __init__(self, *results):
        self.results = list(results)
        self.calls = []
        self.active = 0
        self.most = 0

    async def reconcile(self, request):
        self.calls.append(str(request))
        self.active += 1
        self.most = max(self.most, self.active)
        await asyncio.sleep(0)
        self.active -= 1
        result = self.results.pop(0) if self.results else DONE
        if isinstance(result, Exception):
            raise result
        return result


async def run_with(reconciler, body, **options):
    clock = FakeClock()
    controller = Controller("test", reconciler, clock=clock, **options)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(controller.run())
        await body(controller, clock)
        task.cancel()


async def test_failures_are_retried_with_back_off_and_then_forgotten():
    reconciler = Reconciler(errors.ServiceUnavailable("x"), errors.Conflict("y"), RuntimeError("z"))

    async def body(controller, clock):
        controller.queue.add(Request("ns", "a"))
        await clock.advance(0)
        assert reconciler.calls == ["ns/a"]
        await clock.advance(1)
        assert len(reconciler.calls) == 4
        assert controller.queue.failures(Request("ns", "a")) == 0

    await run_with(reconciler, body)


async def test_requeue_after_comes_back_on_time():
    reconciler = Reconciler(Result(requeue_after=30))

    async def body(controller, clock):
        controller.queue.add(Request("", "a"))
        await clock.advance(29)
        assert reconciler.calls == ["a"]
        await clock.advance(1)
        assert reconciler.calls == ["a", "a"]

    await run_with(reconciler, body)


async def test_one_object_is_never_reconciled_twice_at_once():
    reconciler = Reconciler()

    async def body(controller, clock):
        for _ in range(10):
            controller.queue.add(Request("", "a"))
            await asyncio.sleep(0)
        await clock.advance(1)
        assert reconciler.most == 1

    await run_with(reconciler, body, workers=4)


async def test_manager_starts_controllers_after_caches_and_stops_them_first():
    clock = FakeClock()
    api = FakeTransport(clock)
    api.add(CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}})
    informers = InformerFactory(Client(api), clock=clock, random=random.Random(1))
    informer = informers.informer(CONFIGMAPS)
    order = []

    async def service():
        order.append(("controller starts", informer.has_synced))
        try:
            await asyncio.Event().wait()
        finally:
            order.append(("controller stops", bool(api._watches)))

    reconciler = Reconciler()
    controller = Controller("test", reconciler, clock=clock, services=(service,), informers=(informer,))
    informer.add_handler(enqueue(controller.queue))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Manager(informers, [controller]).run())
        await clock.advance(1)
        task.cancel()
    assert order == [("controller starts", True), ("controller stops", True)]
    assert reconciler.calls == ["ns/a"]
    assert not api._watches
