"""The loads: what is written to the server under test, and what is read from it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bench import wrk
from bench.connection import Connection, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.connection import Address

NAMESPACE, FAN_OUT = "bench", "fanout"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_CONFIGMAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_HOT = f"/api/v1/namespaces/{FAN_OUT}/configmaps"
MERGE = "application/merge-patch+json"

_PATCH = """
wrk.method = "PATCH"
wrk.headers["Content-Type"] = "application/merge-patch+json"
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, '{"metadata":{"annotations":{"n":"' .. n .. '"}}}')
end
"""
_CREATE = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n = 0
local head = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"w-"},"data":{"a":"'
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, head .. n .. '"}}')
end
"""


def pod(name: str) -> dict[str, Any]:
    """A pod of an ordinary size that no scheduler looks at."""
    container = {
        "name": "c",
        "image": "registry.example/app:1",
        "ports": [{"containerPort": 8080}],
        "env": [{"name": f"VAR_{n}", "value": "some value here"} for n in range(10)],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    metadata = {"name": name, "labels": {"app": "bench", "n": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"schedulerName": "nobody", "containers": [container]}}  # fmt: skip


async def prepare(address: Address) -> None:
    """Make the namespaces, and the ServiceAccount that pods need where no controller makes it."""
    connection = await Connection.open(address)
    for name in (NAMESPACE, FAN_OUT):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await connection.must(201, 409, method="POST", path="/api/v1/namespaces", body=namespace)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    await connection.must(201, 409, method="POST", path=path, body=account)
    connection.close()


async def create_pods(address: Address, count: int) -> float:
    """Create pods over 32 connections; returns pods per second."""
    return await _create(address, _PODS, (pod(f"pod-{n}") for n in range(count)), count)


async def create_configmaps(address: Address, begin: int, end: int) -> float:
    """Create numbered ConfigMaps over 32 connections; returns ConfigMaps per second."""
    maps = (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c-{n}"}, "data": {"a": str(n), "k": "x" * 400}}
        for n in range(begin, end)
    )
    return await _create(address, _CONFIGMAPS, maps, end - begin)


async def _create(address: Address, path: str, objects: Iterator[Any], count: int) -> float:
    async def work() -> None:
        connection = await Connection.open(address)
        for obj in objects:
            await connection.must(201, 409, method="POST", path=path, body=obj)
        connection.close()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(32):
            group.create_task(work())
    return count / (time.perf_counter() - begin)


async def fan_out(address: Address, *, watchers: int, writers: int, seconds: float) -> float:
    """Change one object as fast as the writers can; returns events per second, until all have arrived everywhere."""
    loop = asyncio.get_running_loop()
    control = await Connection.open(address)
    hot = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hot"}, "data": {"k": "x" * 500}}
    await control.must(201, 409, method="POST", path=_HOT, body=hot)
    opened = asyncio.Semaphore(0)
    watching = [Watch(address, f"{_HOT}?watch=true&resourceVersion=0", opened.release) for _ in range(watchers)]
    for watch in watching:
        await loop.create_connection(lambda watch=watch: watch, address.host, address.port, ssl=address.tls)
    for _ in watching:
        await opened.acquire()
    begin = time.perf_counter()
    sent = sum(await asyncio.gather(*(_write(address, n, begin + seconds) for n in range(writers))))
    async with asyncio.timeout(30):
        while (arrived := sum(watch.count for watch in watching)) < sent * watchers:  # noqa: ASYNC110 - counting is free
            await asyncio.sleep(0.005)
    taken = time.perf_counter() - begin
    for watch in watching:
        watch.transport.abort()
    control.close()
    return arrived / taken


async def _write(address: Address, writer: int, until: float) -> int:
    connection = await Connection.open(address)
    count = 0
    while time.perf_counter() < until:
        body = {"data": {f"n{writer}": str(count)}}
        await connection.must(200, method="PATCH", path=f"{_HOT}/hot", body=body, media=MERGE)
        count += 1
    connection.close()
    return count


def get_pod(address: Address, seconds: int) -> float:
    return wrk.rate(f"{address.url}{_PODS}/pod-1", connections=16, seconds=seconds, token=address.token)


def list_pods(address: Address, seconds: int) -> float:
    return wrk.rate(f"{address.url}{_PODS}", connections=4, seconds=seconds * 2, token=address.token)


def list_selector(address: Address, seconds: int) -> float:
    url = f"{address.url}{_PODS}?labelSelector=n%3Dpod-77"
    return wrk.rate(url, connections=8, seconds=seconds, token=address.token)


def list_page(address: Address, seconds: int) -> float:
    return wrk.rate(f"{address.url}{_PODS}?limit=500", connections=4, seconds=seconds, token=address.token)


def patch_pod(address: Address, seconds: int) -> float:
    url = f"{address.url}{_PODS}/pod-2"
    return wrk.rate(url, connections=1, seconds=seconds, token=address.token, script=_PATCH)


def generate_configmaps(address: Address, seconds: int) -> float:
    url = f"{address.url}{_CONFIGMAPS}"
    return wrk.rate(url, connections=16, seconds=seconds, token=address.token, script=_CREATE)
