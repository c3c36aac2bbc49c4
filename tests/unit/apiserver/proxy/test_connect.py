"""Connect subresources against a kubelet that is a plain HTTP server of the test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from sampan.api.errors import BadRequest, InternalError, Invalid, NotFound, ServiceUnavailable
from sampan.apiserver.http.upgrade import ConnectTarget
from sampan.apiserver.proxy import forward
from sampan.apiserver.proxy.forward import Forwarder, split_name
from sampan.apiserver.proxy.kubelets import Kubelets, address
from sampan.apiserver.proxy.locate import container_of
from sampan.apiserver.proxy.logs import LogHandler
from sampan.apiserver.proxy.streams import StreamHandler
from sampan.client.config import ClientConfig
from sampan.client.http import HTTPClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POD = {
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {"nodeName": "n1", "containers": [{"name": "a"}, {"name": "b"}]},
    "status": {"podIP": "127.0.0.1"},
}
NODE = {"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}}


@dataclass
class FakeExchange:
    target: ConnectTarget
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    objects: dict[tuple[str, str], Any] = field(default_factory=lambda: {("nodes", "n1"): NODE})
    sent: list[Any] = field(default_factory=list)

    def lookup(self, group: str, resource: str, namespace: str, name: str) -> Any:
        return self.objects.get((resource, name))

    async def body(self) -> bytes:
        return b"body"

    def respond(self, status: int, headers: Any, body: bytes) -> None:
        self.sent.append((status, body))

    def start(self, status: int, headers: Any) -> None:
        self.sent.append(status)

    async def write(self, data: bytes) -> None:
        self.sent.append(data)

    def finish(self) -> None:
        self.sent.append("end")

    def take_over(self) -> Any:
        raise AssertionError("not upgraded")


class Kubelet:
    """Answers every request with `answer`; keeps the heads."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.answer)
        await writer.drain()
        writer.close()


class PlainKubelets(Kubelets):
    def __init__(self, port: int) -> None:
        self._port = port

    def client(self, node: Any) -> HTTPClient:
        return HTTPClient(ClientConfig(server=f"http://127.0.0.1:{self._port}"))


@pytest.fixture
async def kubelet() -> AsyncIterator[Kubelet]:
    fake = Kubelet()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    yield fake
    server.close()


def target(subresource: str, *query: tuple[str, str], resource: str = "pods", name: str = "p", **more: Any) -> Any:
    fields = {"path": "", "object": POD, **more}
    return ConnectTarget(
        resource=resource, namespace="default", name=name, subresource=subresource, query=query, **fields
    )


async def test_log_passes_options_on_and_streams_the_answer(kubelet: Kubelet) -> None:
    exchange = FakeExchange(target("log", ("container", "a"), ("tailLines", "3"), ("follow", "true"), ("x", "y")))
    await LogHandler(PlainKubelets(kubelet.port)).handle(exchange)
    assert exchange.sent == [200, b"hello", "end"]
    assert kubelet.heads[0].startswith("GET /containerLogs/default/p/a?follow=true&tailLines=3 HTTP/1.1")


async def test_kubelets_refusal_is_a_bad_request(kubelet: Kubelet) -> None:
    kubelet.answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\n\r\nwaiting"
    with pytest.raises(BadRequest, match="waiting"):
        await LogHandler(PlainKubelets(kubelet.port)).handle(FakeExchange(target("log", ("container", "a"))))


async def test_log_of_an_unscheduled_pod_is_empty() -> None:
    pod = {**POD, "spec": {"containers": [{"name": "a"}]}}
    exchange = FakeExchange(target("log", object=pod))
    await LogHandler(PlainKubelets(0)).handle(exchange)
    assert exchange.sent == [(200, b"")]


async def test_wrong_log_options_are_invalid() -> None:
    with pytest.raises(Invalid, match="tailLines: Invalid value: -1: must be greater than or equal to 0"):
        await LogHandler(PlainKubelets(0)).handle(FakeExchange(target("log", ("tailLines", "-1"))))


async def test_kubelet_that_cannot_be_reached_is_an_internal_error() -> None:
    with pytest.raises(InternalError):
        await LogHandler(PlainKubelets(1)).handle(FakeExchange(target("log", ("container", "a"))))
    exchange = FakeExchange(
        target("exec", ("container", "a"), ("command", "ls"), ("stdout", "true")),
        headers={"connection": "Upgrade", "upgrade": "SPDY/3.1"},
    )
    with pytest.raises(InternalError, match="error dialing backend"):
        await StreamHandler(PlainKubelets(1)).exec(exchange)


def test_container_must_be_named_when_there_are_several() -> None:
    with pytest.raises(BadRequest, match=r"a container name must be specified for pod p, choose one of: \[a b\]$"):
        container_of(POD, "")
    with pytest.raises(BadRequest, match="container x is not valid for pod p"):
        container_of(POD, "x")
    assert container_of({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "only"}]}}, "") == "only"


async def test_exec_needs_a_command_an_upgrade_and_a_node() -> None:
    streams = StreamHandler(PlainKubelets(0))
    with pytest.raises(BadRequest, match="at least 1 command"):
        await streams.exec(FakeExchange(target("exec")))
    query = (("container", "a"), ("command", "ls"), ("stdout", "true"))
    with pytest.raises(BadRequest, match="Upgrade request required"):
        await streams.exec(FakeExchange(target("exec", *query)))
    pod = {**POD, "spec": {"containers": [{"name": "a"}]}}
    with pytest.raises(BadRequest, match="pod p does not have a host assigned"):
        await streams.exec(FakeExchange(target("exec", *query, object=pod)))


async def test_exec_that_the_kubelet_refuses_keeps_its_reason(kubelet: Kubelet) -> None:
    kubelet.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"
    query = (("container", "a"), ("command", "ls"), ("command", "-l"), ("stdin", "true"), ("tty", "false"))
    exchange = FakeExchange(
        target("exec", *query), method="POST", headers={"connection": "Upgrade", "upgrade": "SPDY/3.1"}
    )
    with pytest.raises(NotFound, match="gone"):
        await StreamHandler(PlainKubelets(kubelet.port)).exec(exchange)
    assert kubelet.heads[0].startswith("POST /exec/default/p/a?input=1&command=ls&command=-l HTTP/1.1")


@pytest.fixture
def loopback_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fake workload, which listens on loopback, be proxied to."""
    monkeypatch.setattr(forward, "_is_proxyable", lambda _: True)


@pytest.mark.usefixtures("loopback_allowed")
async def test_proxy_forwards_to_the_pods_port(kubelet: Kubelet) -> None:
    name = f"p:{kubelet.port}"
    exchange = FakeExchange(
        target("proxy", ("q", "1"), name=name, path="/x y", object=None),
        headers={"authorization": "Bearer secret", "accept": "text/plain"},
        objects={("pods", "p"): POD},
    )
    await Forwarder(PlainKubelets(0)).pod(exchange)
    assert exchange.sent == [200, b"hello", "end"]
    assert kubelet.heads[0].startswith("GET /x%20y?q=1 HTTP/1.1")
    assert "secret" not in kubelet.heads[0]


@pytest.mark.usefixtures("loopback_allowed")
async def test_proxy_to_a_service_picks_a_ready_endpoint(kubelet: Kubelet) -> None:
    subset = {"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": "web", "port": kubelet.port}]}
    objects: dict[tuple[str, str], Any] = {("services", "s"): {}, ("endpoints", "s"): {"subsets": [subset]}}
    exchange = FakeExchange(target("proxy", resource="services", name="s:web", path="/", object=None), objects=objects)
    await Forwarder(PlainKubelets(0)).service(exchange)
    assert exchange.sent == [200, b"hello", "end"]
    objects["endpoints", "s"] = {}
    with pytest.raises(ServiceUnavailable, match='no endpoints available for service "s:web"'):
        await Forwarder(PlainKubelets(0)).service(exchange)


OWN_ADDRESSES = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "x"]


@pytest.mark.parametrize("host", OWN_ADDRESSES)
async def test_proxy_never_leads_to_the_servers_own_addresses(host: str) -> None:
    pod = {**POD, "status": {"podIP": host}}
    with pytest.raises(BadRequest, match="address not allowed"):
        await Forwarder(PlainKubelets(0)).pod(FakeExchange(target("proxy", object=pod)))
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    subset = {"addresses": [{"ip": host}], "ports": [{"port": 80}]}
    objects: dict[tuple[str, str], Any] = {("services", "s"): service, ("endpoints", "s"): {"subsets": [subset]}}
    with pytest.raises(BadRequest, match="address not allowed"):
        await Forwarder(PlainKubelets(0)).service(
            FakeExchange(target("proxy", resource="services", name="s:80", object=None), objects=objects)
        )


def test_names_may_carry_scheme_and_port() -> None:
    assert split_name("a") == ("http", "a", "")
    assert split_name("a:80") == ("http", "a", "80")
    assert split_name("https:a:443") == ("https", "a", "443")
    with pytest.raises(BadRequest):
        split_name("ftp:a:1")


def test_kubelet_is_reached_at_its_internal_address_and_port() -> None:
    status: Any = {
        "addresses": [{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "192.0.2.7"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10255}},
    }
    assert address({"status": status}) == "https://192.0.2.7:10255"
    assert (
        address({"status": {"addresses": [{"type": "InternalIP", "address": "fd00::1"}]}}) == "https://[fd00::1]:10250"
    )
    with pytest.raises(InternalError, match="no preferred addresses found"):
        address({"status": {}})
