"""The scheduling queue: order, back-off, events, time-outs."""

from __future__ import annotations

import asyncio

import pytest

from sampan.base.clock import FakeClock
from sampan.scheduler.interface import ClusterEvent, EventKind
from sampan.scheduler.nodeinfo import NodeInfo
from sampan.scheduler.options import SchedulerOptions
from sampan.scheduler.podinfo import PodInfo
from sampan.scheduler.profile import default_framework
from sampan.scheduler.queue import SchedulingQueue


def pod(name: str, *, priority: int = 0, cpu: str = "1"):
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    spec = {"containers": [container], "priority": priority}
    return PodInfo({"metadata": {"name": name, "namespace": "default"}, "spec": spec})


def node(name: str, cpu: str = "4"):
    return NodeInfo({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu}}}, 0)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def queue(clock):
    options = SchedulerOptions()
    made = SchedulingQueue(default_framework(options, None, lambda _: []), options, clock)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.run())
        yield made
        task.cancel()


def drain(queue) -> list[str]:
    found = []
    while (item := queue.pop_nowait()) is not None:
        found.append(item.pod.name)
    return found


async def test_higher_priority_goes_first_then_who_came_first(queue):
    for name, priority in (("a", 0), ("b", 10), ("c", 0), ("d", 10)):
        queue.add(pod(name, priority=priority))
    assert drain(queue) == ["b", "d", "a", "c"]


async def test_failed_pod_waits_for_an_event_that_its_plugin_finds_helpful(queue):
    queue.add(pod("a", cpu="2"))
    queue.fail(queue.pop_nowait(), {"NodeResourcesFit"}, error=False)
    queue.move(ClusterEvent(EventKind.NODE_LABEL, node=node("n")))
    queue.move(ClusterEvent(EventKind.NODE_ADD, node=node("small", "1")))
    assert drain(queue) == []
    queue.move(ClusterEvent(EventKind.NODE_ADD, node=node("large")))
    assert drain(queue) == ["a"]


async def test_errors_back_off_and_double_up_to_the_limit(queue, clock):
    queue.add(pod("a"))
    waited = []
    for _ in range(6):
        queue.fail(queue.pop_nowait(), (), error=True)
        begin = clock.time()
        while (item := queue._active.peek()) is None:
            await clock.advance(0.5)
        del item
        waited.append(clock.time() - begin)
    assert waited == [1, 2, 4, 8, 10, 10]


async def test_idle_scheduler_takes_pods_from_their_back_off(queue):
    queue.add(pod("a"))
    queue.fail(queue.pop_nowait(), {"NodeResourcesFit"}, error=False)
    queue.move(ClusterEvent(EventKind.NODE_ADD, node=node("n")))
    assert queue._active.peek() is None
    assert drain(queue) == ["a"]


async def test_pod_that_waited_too_long_is_tried_again_without_an_event(queue, clock):
    queue.add(pod("a"))
    queue.fail(queue.pop_nowait(), {"NodeAffinity"}, error=False)
    await clock.advance(290)
    assert drain(queue) == []
    await clock.advance(60)
    assert drain(queue) == ["a"]


async def test_removed_pod_is_nowhere(queue):
    for name in ("a", "b"):
        queue.add(pod(name))
    queue.remove("default/a")
    assert drain(queue) == ["b"]
    assert len(queue) == 0


async def test_priority_change_moves_a_waiting_pod_forward(queue):
    queue.add(pod("a"))
    queue.add(pod("b"))
    queue.update(pod("b", priority=5), helps=True)
    assert drain(queue) == ["b", "a"]
