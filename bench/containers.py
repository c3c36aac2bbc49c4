"""Rows with real containers: a whole cluster of its own on this machine, made by `sampan up` and removed afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.target import SAMPAN
from sampan.base.errors import SampanError
from sampan.base.processes import ProcessRecord
from sampan.client import kubeconfig
from sampan.client.client import Client
from sampan.client.https import HTTPSTransport
from sampan.client.resources import PODS, REPLICATIONCONTROLLERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sampan.api.object import Object
    from sampan.client.client import ResourceClient

_IMAGE = "localhost/bench/busybox:1"
_DOCKERFILE = 'FROM scratch\nCOPY busybox /busybox\nCMD ["/busybox", "sleep", "100000"]\n'
_PODS = 15
_REPLICAS = 20
_SECONDS = 60.0
_IDLE_SECONDS = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(SampanError):
    """The cluster could not be measured."""


def measure(folder: Path, note: Callable[[str, float], None]) -> None:
    """Note pod_ready, replicas_ready, cpu_idle_node and memory_agent. Needs root and what `sampan up` needs."""
    with _cluster(folder) as data_dir:
        agent = ProcessRecord.load(data_dir / "run" / "agent.json")
        server = ProcessRecord.load(data_dir / "run" / "server.json")
        assert agent is not None
        assert server is not None
        note("memory_agent", _memory(agent.pid))
        before = _cpu(agent.pid) + _cpu(server.pid)
        time.sleep(_IDLE_SECONDS)
        note("cpu_idle_node", (_cpu(agent.pid) + _cpu(server.pid) - before) / _IDLE_SECONDS * 100)
        ready, replicas = asyncio.run(_pods(data_dir / "kubeconfig"))
        note("pod_ready", ready)
        note("replicas_ready", replicas)


@contextmanager
def _cluster(folder: Path) -> Iterator[Path]:
    data_dir, context = folder / "node", folder / "image"
    context.mkdir()
    (context / "busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "Dockerfile").write_text(_DOCKERFILE)
    where = f"--data-dir={data_dir}"
    try:
        _run("up", where)
        _run("image", "build", where, "-t", _IMAGE, str(context))
        yield data_dir
    finally:
        subprocess.run([*SAMPAN, "down", "--purge", where], capture_output=True, check=False)  # noqa: S603


def _run(*arguments: str) -> None:
    done = subprocess.run([*SAMPAN, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise BenchError(f"sampan {arguments[0]}: {done.stdout}{done.stderr}")


async def _pods(path: Path) -> tuple[float, float]:
    transport = HTTPSTransport(kubeconfig.load(path).resolve())
    client = Client(transport)
    try:
        pods = client.resource(PODS, "default")
        times = sorted([await _one(pods, number) for number in range(_PODS)])
        return times[len(times) // 2], await _many(client, pods)
    finally:
        await transport.close()


async def _one(pods: ResourceClient, number: int) -> float:
    """Seconds from the POST of a pod to its Ready."""
    name = f"bench-{number}"
    spec = {**_spec(), "restartPolicy": "Never"}
    begin = time.perf_counter()
    made = await pods.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    async with asyncio.timeout(_SECONDS):
        await _wait_ready(pods, {name}, made["metadata"]["resourceVersion"], f"metadata.name={name}", 1)
    took = time.perf_counter() - begin
    await pods.delete(name, grace_period_seconds=0)
    return took


async def _many(client: Client, pods: ResourceClient) -> float:
    """Seconds from the POST of a ReplicationController to all its pods being Ready."""
    template = {"metadata": {"labels": {"app": "bench"}}, "spec": _spec()}
    spec = {"replicas": _REPLICAS, "selector": {"app": "bench"}, "template": template}
    controllers = client.resource(REPLICATIONCONTROLLERS, "default")
    begin = time.perf_counter()
    made = await controllers.create(
        {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "bench"}, "spec": spec}
    )
    async with asyncio.timeout(_SECONDS):
        await _wait_ready(pods, set(), made["metadata"]["resourceVersion"], "", _REPLICAS)
    return time.perf_counter() - begin


async def _wait_ready(pods: ResourceClient, names: set[str], version: str, fields: str, count: int) -> None:
    ready: set[str] = set()
    async with pods.watch(resource_version=version, field_selector=fields) as batches:
        async for batch in batches:
            for event in batch:
                name = event.item.name
                if (not names or name in names) and _is_ready(event.item.object):
                    ready.add(name)
            if len(ready) >= count:
                return


def _is_ready(pod: Object) -> bool:
    conditions: list[dict[str, Any]] = pod.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _spec() -> Object:
    container = {"name": "c", "image": _IMAGE, "imagePullPolicy": "Never"}
    return {"containers": [container], "terminationGracePeriodSeconds": 0}


def _memory(pid: int) -> float:
    """Resident memory in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu(pid: int) -> float:
    """CPU seconds used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
