from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sampan.base.pki import CertificateAuthority
from sampan.client.config import ClientConfig
from sampan.client.http import HTTPClient, HTTPResponse
from sampan.kubelet.options import KubeletOptions
from sampan.kubelet.server import KubeletServer
from sampan.kubelet.server.auth import Authenticator
from tests.unit.kubelet.fakes import make_pod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.kubelet.fakes import FakeNode


class Reviews:
    """Answers TokenReview and SubjectAccessReview; reader may get metrics only."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def resource(self, gvr: Any, namespace: str = "") -> Reviews:
        return self

    async def create(self, review: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(review)
        if review["kind"] == "TokenReview":
            known = review["spec"]["token"] == "good"
            return {"status": {"authenticated": known, "user": {"username": "reader"} if known else {}}}
        return {"status": {"allowed": review["spec"]["resourceAttributes"]["subresource"] == "metrics"}}


class Served:
    def __init__(self, port: int, ca: CertificateAuthority, reviews: Reviews) -> None:
        self.port, self.ca, self.reviews = port, ca, reviews

    def client(self, *, masters: bool = False, token: str = "") -> HTTPClient:
        config = {"server": f"https://127.0.0.1:{self.port}", "ca": self.ca.certificate, "token": token}
        if masters:
            pair = self.ca.issue("kube-apiserver-kubelet-client", organizations=["system:masters"])
            config |= {"certificate": pair.certificate, "key": pair.key}
        return HTTPClient(ClientConfig(**config))

    async def get(self, path: str, **identity: Any) -> HTTPResponse:
        client = self.client(**identity)
        try:
            return await client.request("GET", path)
        finally:
            await client.close()


@pytest.fixture
async def served(node: FakeNode) -> AsyncIterator[Served]:
    ca, _ = CertificateAuthority.create("test")
    path = node.services.options.data_dir
    options = KubeletOptions(
        node_name="n1", node_ips=["127.0.0.1"], data_dir=path, runtime_endpoint="", kubelet_port=0,
        bind_address="127.0.0.1", cluster_ca=ca.certificate,
    )  # fmt: skip
    pair = ca.issue("system:node:n1", names=["127.0.0.1"], usages=("server auth",))
    (path / "pki").mkdir()
    (path / "pki" / "kubelet-server.crt").write_bytes(pair.certificate)
    (path / "pki" / "kubelet-server.key").write_bytes(pair.key)
    reviews = Reviews()
    server = KubeletServer(options, node.workers, node.runtime, Authenticator(reviews, "n1", node.clock), node.clock)
    async with asyncio.TaskGroup() as group:
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = group.create_task(server.run(ready.set_result))
        yield Served(await ready, ca, reviews)
        task.cancel()


async def test_strangers_get_nothing_but_health(served: Served) -> None:
    assert (await served.get("/healthz")).body == b"ok"
    assert (await served.get("/pods")).status == 401
    assert (await served.get("/pods", token="bad")).status == 401


async def test_token_is_reviewed_once_and_authorized_by_subresource(served: Served) -> None:
    assert (await served.get("/metrics", token="good")).status == 200
    assert (await served.get("/metrics", token="good")).status == 200
    refused = await served.get("/containerLogs/default/p/c", token="good")
    assert refused.status == 403
    assert b"resource=nodes, subresource(s)=[proxy]" in refused.body
    kinds = [review["kind"] for review in served.reviews.asked]
    assert kinds == ["TokenReview", "SubjectAccessReview", "SubjectAccessReview"]


async def test_certificate_of_another_authority_is_refused(served: Served) -> None:
    other, _ = CertificateAuthority.create("other")
    pair = other.issue("kube-apiserver-kubelet-client", organizations=["system:masters"])
    config = ClientConfig(
        server=f"https://127.0.0.1:{served.port}", ca=served.ca.certificate, certificate=pair.certificate, key=pair.key
    )
    client = HTTPClient(config)
    with pytest.raises((OSError, ssl.SSLError)):
        await client.request("GET", "/pods")
    await client.close()


async def test_pods_are_listed_and_unknown_paths_are_not_found(served: Served, node: FakeNode) -> None:
    await node.post(make_pod())
    listed = orjson.loads((await served.get("/pods", masters=True)).body)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["p"]
    assert (await served.get("/nothing", masters=True)).status == 404


async def test_logs_of_running_previous_and_waiting_containers(served: Served, node: FakeNode) -> None:
    await node.post(make_pod())
    path = "/containerLogs/default/p/c"
    record = node.workers.find("default", "p").records.latest("c")
    Path(record.log_path).write_text("2026-01-01T00:00:00.0Z stdout F hello\n")
    assert (await served.get(path, masters=True)).body == b"hello\n"
    previous = await served.get(f"{path}?previous=true", masters=True)
    assert (previous.status, previous.body) == (400, b'previous terminated container "c" in pod "p" not found')
    node.runtime.exit(record.id, 1)
    await node.settle()
    assert (await served.get(f"{path}?previous=true", masters=True)).body == b"hello\n"
    pod = make_pod("waiting", initContainers=[{"name": "i", "image": "example/app:1"}])
    await node.post(pod)
    waiting = await served.get("/containerLogs/default/waiting/c", masters=True)
    assert waiting.body == b'container "c" in pod "waiting" is waiting to start: PodInitializing'
    assert (await served.get("/containerLogs/default/p/x", masters=True)).status == 404


async def test_exec_joins_the_client_with_the_runtimes_streaming_server(served: Served, node: FakeNode) -> None:
    await node.post(make_pod())
    heads: list[bytes] = []

    async def runtime(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n")
        writer.write((await reader.readexactly(4)).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(runtime, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def exec_url(container_id: str, command: Any, **streams: bool) -> str:
        assert (list(command), streams["stdin"], streams["tty"]) == (["ls", "-l"], True, False)
        return f"http://127.0.0.1:{port}/exec/token"

    node.runtime.exec_url = exec_url
    client = served.client(masters=True)
    headers = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v4.channel.k8s.io")]
    query = [("command", "ls"), ("command", "-l"), ("input", "1"), ("output", "1")]
    upgraded = await client.upgrade("POST", "/exec/default/p/c", headers=headers, query=query)
    assert not isinstance(upgraded, HTTPResponse)
    reader, writer, _ = upgraded
    writer.write(b"ping")
    assert await reader.read() == b"PING"
    writer.close()
    assert heads[0].startswith(b"POST /exec/token HTTP/1.1\r\n")
    assert b"x-stream-protocol-version: v4.channel.k8s.io\r\n" in heads[0]
    server.close()
    await client.close()


async def test_exec_in_what_does_not_run_is_not_found(served: Served, node: FakeNode) -> None:
    answer = await served.get("/exec/default/none/c?command=ls", masters=True)
    assert (answer.status, answer.body) == (404, b'pod not found ("none_default")')
    await node.post(make_pod())
    answer = await served.get("/exec/default/p/x?command=ls", masters=True)
    assert (answer.status, answer.body) == (404, b'container not found ("x")')


async def test_usage_is_told_as_summary_and_as_metrics(served: Served, node: FakeNode) -> None:
    await node.post(make_pod())
    summary = orjson.loads((await served.get("/stats/summary", masters=True)).body)
    assert summary["pods"][0]["podRef"]["name"] == "p"
    assert summary["pods"][0]["memory"]["workingSetBytes"] == 1000
    metrics = (await served.get("/metrics/resource", masters=True)).body.decode()
    assert 'container_cpu_usage_seconds_total{container="c",namespace="default",pod="p"} 2.0 ' in metrics
    assert (await served.get("/metrics/none", masters=True)).status == 404


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET //[ HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\nGET /pods HTTP/1.1\r\n\r\n",
        b"\x16\x03 nonsense\r\n\r\n",
    ],
)
async def test_malformed_and_pipelined_requests_are_refused(served: Served, request_bytes: bytes) -> None:
    context = ssl.create_default_context(cadata=served.ca.certificate.decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
    writer.write(request_bytes)
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    writer.close()
