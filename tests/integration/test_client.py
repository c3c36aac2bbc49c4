"""The client over HTTPS against the real API server."""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from sampan.api import errors
from sampan.apiserver.server import APIServer, ServerOptions
from sampan.base.clock import RealClock
from sampan.client.client import Client
from sampan.client.config import ClientConfig
from sampan.client.https import HTTPSTransport
from sampan.client.informer import InformerFactory
from sampan.client.resources import CONFIGMAPS, LEASES, NODES
from sampan.runtime import ElectionOptions, EventBroadcaster, LeaderElector


@asynccontextmanager
async def connected(**options):
    async with APIServer(ServerOptions(), RealClock()) as api:
        pair = api.credentials.administrator()
        config = ClientConfig(server=api.url, ca=api.ca, certificate=pair.certificate, key=pair.key, **options)
        client = Client(HTTPSTransport(config))
        try:
            yield client
        finally:
            await client.close()


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_calls_and_errors():
    async with connected() as client:
        resource = client.resource(CONFIGMAPS, "default")
        created = await resource.create(config_map("a", x="1"), field_manager="me")
        assert created["metadata"]["managedFields"][0]["manager"] == "me"
        with pytest.raises(errors.AlreadyExists):
            await resource.create(config_map("a"))
        patched = await resource.patch("a", {"data": {"y": "2"}})
        assert patched["data"] == {"x": "1", "y": "2"}
        with pytest.raises(errors.Conflict):
            await resource.update({**created, "data": {}})
        with pytest.raises(errors.Invalid) as caught:
            await resource.create(config_map("Not A Name"))
        assert caught.value.details["causes"][0]["field"] == "metadata.name"
        found = await resource.list(label_selector="none=such")
        assert found.items == []
        await resource.delete("a", uid=created["metadata"]["uid"])
        with pytest.raises(errors.NotFound, match='configmaps "a" not found'):
            await resource.get("a")


async def test_informer_follows_changes_over_a_real_watch():
    async with connected() as client, asyncio.TaskGroup() as group:
        factory = InformerFactory(client, clock=RealClock(), random=random.Random(1))
        informer = factory.informer(CONFIGMAPS, namespace="default")
        seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        def handler(old, new):
            kind = "ADDED" if old is None else "DELETED" if new is None else "MODIFIED"
            seen.put_nowait((kind, (new or old).name))

        informer.add_handler(handler)
        task = group.create_task(factory.run())
        await informer.wait_synced()
        resource = client.resource(CONFIGMAPS, "default")
        await resource.create(config_map("a"))
        await resource.patch("a", {"data": {"x": "1"}})
        await resource.delete("a")
        async with asyncio.timeout(10):
            events = [await seen.get() for _ in range(3)]
        assert events == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        task.cancel()


async def test_events_and_leases_pass_the_servers_validation():
    async with connected() as client, asyncio.TaskGroup() as group:
        broadcaster = EventBroadcaster(client, clock=RealClock())
        writing = group.create_task(broadcaster.run())
        node = await client.resource(NODES).create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        recorder = broadcaster.recorder("kubelet", "n")
        events = client.resource(CONFIGMAPS._replace(resource="events"), "default")
        for _ in range(2):
            recorder.event(node, "Normal", "Starting", "Starting kubelet.")
        async with asyncio.timeout(10), events.watch(resource_version="0") as batches:
            counts = []
            while 2 not in counts:
                counts += [event.item.object.get("count") for event in await anext(batches)]
        writing.cancel()

        leads = asyncio.Event()

        async def lead():
            leads.set()
            await asyncio.Event().wait()

        elector = LeaderElector(client, ElectionOptions(name="test", identity="me"), clock=RealClock())
        leading = group.create_task(elector.run(lead))
        async with asyncio.timeout(10):
            await leads.wait()
        lease = await client.resource(LEASES, "kube-system").get("test")
        assert lease["spec"]["holderIdentity"] == "me"
        leading.cancel()
