"""Reflectors and informers: nothing lost, nothing reordered, whatever happens to the connection."""

import asyncio
import random
from contextlib import asynccontextmanager

from sampan.api import errors
from sampan.base.clock import FakeClock
from sampan.client.client import Client
from sampan.client.informer import InformerFactory
from sampan.client.resources import CONFIGMAPS
from sampan.testing.fake import FakeTransport


def config_map(name, **data):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "labels": {"name": name}},
        "data": data,
    }


class Cache:
    def __init__(self):
        self.clock = FakeClock()
        self.api = FakeTransport(self.clock)
        self.factory = InformerFactory(Client(self.api), clock=self.clock, random=random.Random(1))
        self.informer = self.factory.informer(CONFIGMAPS)
        self.seen = []
        self.informer.add_handler(self._handler)

    def _handler(self, old, new):
        kind = "ADDED" if old is None else "DELETED" if new is None else "MODIFIED"
        item = new or old
        self.seen.append((kind, item.name))

    async def settle(self):
        for _ in range(60):
            await asyncio.sleep(0)

    def change(self, name, **data):
        self.api.change(CONFIGMAPS, "default", name, lambda obj: obj.update(data=data))


@asynccontextmanager
async def caching(prepare=None):
    cache = Cache()
    if prepare is not None:
        prepare(cache.api)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(cache.factory.run())
        await cache.settle()
        try:
            yield cache
        finally:
            task.cancel()


async def test_list_then_changes_arrive_in_order():
    async with caching(lambda api: api.add(CONFIGMAPS, config_map("a"))) as cache:
        assert cache.informer.has_synced
        cache.api.add(CONFIGMAPS, config_map("b"))
        cache.change("a", x="1")
        cache.api.remove(CONFIGMAPS, "default", "b")
        await cache.settle()
        assert cache.seen == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
        assert [item.name for item in cache.informer.list("default")] == ["a"]
        assert cache.informer.get("default", "a").object["data"] == {"x": "1"}


async def test_broken_watch_resumes_without_a_list():
    async with caching(lambda api: api.add(CONFIGMAPS, config_map("a"))) as cache:
        cache.change("a", x="1")
        await cache.settle()
        cache.api.disconnect()
        cache.change("a", x="2")
        cache.change("a", x="3")
        await cache.clock.advance(1)
        assert cache.seen == [("ADDED", "a")] + [("MODIFIED", "a")] * 3
        assert sum(request.verb == "list" for request in cache.api.requests) == 1


async def test_compacted_history_is_listed_again_and_the_difference_told():
    def prepare(api):
        for name in ("gone", "changed", "same"):
            api.add(CONFIGMAPS, config_map(name))

    async with caching(prepare) as cache:
        cache.seen.clear()
        cache.api.disconnect()
        cache.api.remove(CONFIGMAPS, "default", "gone")
        cache.change("changed", x="1")
        cache.api.add(CONFIGMAPS, config_map("new"))
        cache.api.compact()
        await cache.clock.advance(5)
        assert sorted(cache.seen) == [("ADDED", "new"), ("DELETED", "gone"), ("MODIFIED", "changed")]


async def test_failing_list_is_retried_with_back_off():
    failures = []

    def fail(request):
        if len(failures) < 3:
            failures.append(request)
            raise errors.ServiceUnavailable("not yet")

    cache = Cache()
    cache.api.react = fail
    async with asyncio.TaskGroup() as group:
        task = group.create_task(cache.factory.run())
        await cache.settle()
        assert not cache.informer.has_synced
        await cache.clock.advance(0.1)
        assert len(failures) == 1
        await cache.clock.advance(10)
        assert cache.informer.has_synced
        task.cancel()


async def test_indexes_and_views_follow_changes():
    async with caching() as cache:
        cache.informer.add_index("x", lambda item: tuple((item.object.get("data") or {}).values()))
        sizes = cache.informer.add_view(lambda item: len(item.object.get("data") or {}))
        cache.api.add(CONFIGMAPS, config_map("a", x="1"))
        cache.api.add(CONFIGMAPS, config_map("b", x="1", y="2"))
        await cache.settle()
        assert {item.name for item in cache.informer.by_index("x", "1")} == {"a", "b"}
        assert sizes == {"default/a": 1, "default/b": 2}
        cache.change("b", y="3")
        cache.api.remove(CONFIGMAPS, "default", "a")
        await cache.settle()
        assert list(cache.informer.index_values("x")) == ["3"]
        assert sizes == {"default/b": 1}


async def test_late_handler_hears_of_what_is_there_and_broken_handler_harms_nobody():
    async with caching(lambda api: api.add(CONFIGMAPS, config_map("a"))) as cache:

        def broken(old, new):
            raise RuntimeError("broken")

        late = []
        cache.informer.add_handler(broken)
        cache.informer.add_handler(lambda old, new: late.append(new.name))
        cache.api.add(CONFIGMAPS, config_map("b"))
        await cache.settle()
        assert late == ["a", "b"]


async def test_informers_are_shared_and_can_come_later():
    async with caching() as cache:
        assert cache.factory.informer(CONFIGMAPS) is cache.informer
        chosen = cache.factory.informer(CONFIGMAPS, label_selector="name=a")
        cache.api.add(CONFIGMAPS, config_map("a"))
        cache.api.add(CONFIGMAPS, config_map("b"))
        await cache.settle()
        assert [item.name for item in chosen.list()] == ["a"]
        cache.factory.release(chosen)
        await cache.settle()
        cache.api.add(CONFIGMAPS, config_map("c"))
        await cache.settle()
        assert len(cache.informer) == 3


async def test_random_changes_and_disconnections_leave_cache_and_api_equal():
    rng = random.Random(7)
    async with caching() as cache:
        for _ in range(400):
            names = [one["metadata"]["name"] for one in cache.api.all(CONFIGMAPS)]
            name = f"n{rng.randrange(12)}"
            if name not in names:
                cache.api.add(CONFIGMAPS, config_map(name))
            elif rng.random() < 0.3:
                cache.api.remove(CONFIGMAPS, "default", name)
            else:
                cache.change(name, x=str(rng.random()))
            if rng.random() < 0.05:
                cache.api.disconnect()
            elif rng.random() < 0.03:
                cache.api.compact()
            if rng.random() < 0.3:
                await cache.clock.advance(rng.random(), turns=3)
        await cache.clock.advance(120)
        expected = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in cache.api.all(CONFIGMAPS)}
        assert {item.name: item.resource_version for item in cache.informer.list()} == expected
        alive = set()
        for kind, name in cache.seen:
            assert (name in alive) == (kind != "ADDED")
            alive.discard(name) if kind == "DELETED" else alive.add(name)
        assert alive == set(expected)
