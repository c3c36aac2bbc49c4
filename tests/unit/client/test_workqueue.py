"""The work queue's promises, on a clock that stands still."""

import asyncio

from sampan.base.clock import FakeClock
from sampan.client.workqueue import RateLimiter, WorkQueue


async def test_item_is_queued_once_and_again_after_change_during_work():
    queue = WorkQueue(FakeClock())
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "a"
    queue.add("a")
    assert len(queue) == 1
    assert await queue.get() == "b"
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    queue.done("b")
    assert queue.idle


async def test_delayed_items_come_in_order_of_their_time():
    clock = FakeClock()
    queue = WorkQueue(clock)
    async with asyncio.TaskGroup() as group:
        delays = group.create_task(queue.run())
        queue.add_after("late", 10)
        queue.add_after("soon", 2)
        queue.add_after("late", 5)
        queue.add_after("late", 60)
        await clock.advance(1)
        assert len(queue) == 0
        await clock.advance(1)
        assert await queue.get() == "soon"
        await clock.advance(3)
        assert await queue.get() == "late"
        await clock.advance(100)
        assert len(queue) == 0
        delays.cancel()


async def test_waiting_worker_is_woken_and_cancelled_worker_loses_nothing():
    queue = WorkQueue(FakeClock())
    first = asyncio.get_running_loop().create_task(queue.get())
    second = asyncio.get_running_loop().create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await second == "a"
    await asyncio.gather(first, return_exceptions=True)


def test_failures_double_the_delay_up_to_the_limit():
    limiter = RateLimiter(FakeClock())
    delays = [limiter.when("a") for _ in range(20)]
    assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
    assert delays[-1] == 1000.0
    limiter.forget("a")
    assert limiter.when("a") == 0.005


def test_bucket_slows_a_burst_of_failures_of_many_items():
    limiter = RateLimiter(FakeClock())
    delays = [limiter.when(number) for number in range(120)]
    assert max(delays[:100]) == 0.005
    assert delays[119] == 2.0
