"""The scheduling row: pods bound on nodes that only exist in the API, from the first POST to the last Binding."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sampan.client.client import Client
from sampan.client.config import ClientConfig
from sampan.client.https import HTTPSTransport
from sampan.client.resources import NODES, PODS

if TYPE_CHECKING:
    from bench.connection import Address

_SENDERS = 32
_SECONDS = 120.0
_CAPACITY = {"cpu": "16", "memory": "64Gi", "pods": "110"}


async def bound_pods(address: Address, *, nodes: int, pods: int) -> float:
    """Pods bound per second."""
    transport = HTTPSTransport(ClientConfig(server=address.url, token=address.token, insecure=True))
    client = Client(transport)
    try:
        await _all(client, NODES, [_node(number) for number in range(nodes)])
        begin = time.perf_counter()
        async with asyncio.timeout(_SECONDS), asyncio.TaskGroup() as group:
            done = group.create_task(_wait_bound(client, pods), name="bindings")
            await _all(client, PODS, [_pod(number) for number in range(pods)], "default")
            await done
        return pods / (time.perf_counter() - begin)
    finally:
        await transport.close()


async def _all(client: Client, gvr: object, objects: list[dict[str, object]], namespace: str = "") -> None:
    resource, queue = client.resource(gvr, namespace), iter(objects)  # type: ignore[arg-type]

    async def send() -> None:
        for obj in queue:
            await resource.create(obj)

    async with asyncio.TaskGroup() as group:
        for number in range(_SENDERS):
            group.create_task(send(), name=f"sender {number}")


async def _wait_bound(client: Client, count: int) -> None:
    bound: set[str] = set()
    async with client.resource(PODS, "default").watch(resource_version="0") as batches:
        async for batch in batches:
            bound |= {event.item.name for event in batch if event.item.object.get("spec", {}).get("nodeName")}
            if len(bound) >= count:
                return


def _node(number: int) -> dict[str, object]:
    status = {
        "allocatable": _CAPACITY, "capacity": _CAPACITY, "conditions": [{"type": "Ready", "status": "True"}],
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{number}"}, "status": status}


def _pod(number: int) -> dict[str, object]:
    container = {"name": "c", "image": "registry.example/app:1", "resources": {"requests": {"cpu": "10m"}}}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}, "spec": {"containers": [container]},
    }  # fmt: skip
