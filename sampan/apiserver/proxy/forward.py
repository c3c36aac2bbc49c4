"""The proxy subresources: HTTP to a pod, a service's endpoint or a kubelet, whatever the method.

Names may carry scheme and port: ``[scheme:]name[:port]``. A connection that the client upgrades is joined with the
backend's. Source: pkg/registry/core/{pod,service,node}/rest, k8s.io/apimachinery/pkg/util/proxy.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from urllib.parse import quote

from sampan.api import errors
from sampan.api.gvk import GroupResource
from sampan.apiserver.proxy.locate import node_of
from sampan.client.config import ClientConfig
from sampan.client.http import HTTPClient, HTTPResponse
from sampan.client.streaming import pipe

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.http.upgrade import Exchange
    from sampan.apiserver.proxy.kubelets import Kubelets

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CREDENTIALS = frozenset({"authorization", "host", "content-length"})


class Forwarder:
    """Handles the proxy subresources."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets

    async def pod(self, exchange: Exchange) -> None:
        """Handle pods/proxy."""
        scheme, name, port = split_name(exchange.target.name)
        pod = exchange.target.object or exchange.lookup("", "pods", exchange.target.namespace, name)
        if pod is None:
            raise errors.not_found(GroupResource("", "pods"), name)
        host = (pod.get("status") or {}).get("podIP")
        if not host:
            raise errors.BadRequest("address not allowed")
        await _relay(exchange, _backend(scheme, host, _pod_port(pod, port)))

    async def service(self, exchange: Exchange) -> None:
        """Handle services/proxy: to one of the ready endpoints."""
        target = exchange.target
        scheme, name, port = split_name(target.name)
        if exchange.lookup("", "services", target.namespace, name) is None:
            raise errors.not_found(GroupResource("", "services"), name)
        endpoints = exchange.lookup("", "endpoints", target.namespace, name)
        if endpoints is None:
            raise errors.not_found(GroupResource("", "endpoints"), name)
        candidates = _candidates(endpoints, port)
        if not candidates:
            raise errors.ServiceUnavailable(f'no endpoints available for service "{target.name}"')
        host, number = random.choice(candidates)  # noqa: S311 - spreads load, no secret
        await _relay(exchange, _backend(scheme, host, number))

    async def node(self, exchange: Exchange) -> None:
        """Handle nodes/proxy: to the kubelet's own server."""
        _, name, _ = split_name(exchange.target.name)
        await _relay(exchange, self._kubelets.client(node_of(exchange, name)))


def split_name(text: str) -> tuple[str, str, str]:
    """Split ``[scheme:]name[:port]`` into (scheme, name, port). Raises BadRequest."""
    parts = text.split(":")
    if len(parts) == 1:
        return "http", text, ""
    if len(parts) == 2:
        return "http", parts[0], parts[1]
    if len(parts) == 3 and parts[0] in ("", "http", "https"):
        return parts[0] or "http", parts[1], parts[2]
    raise errors.BadRequest(f'invalid proxy request "{text}"')


def _pod_port(pod: Object, port: str) -> int:
    ports = [p for c in pod["spec"].get("containers") or () for p in c.get("ports") or ()]
    if port.isdigit():
        return int(port)
    if not port:
        return int(ports[0]["containerPort"]) if ports else 80
    for declared in ports:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise errors.BadRequest(f'pod has no port named "{port}"')


def _candidates(endpoints: Object, port: str) -> list[tuple[str, int]]:
    found = []
    for subset in endpoints.get("subsets") or ():
        for declared in subset.get("ports") or ():
            if port in ("", declared.get("name", ""), str(declared["port"])):
                found += [(entry["ip"], declared["port"]) for entry in subset.get("addresses") or ()]
    return found


def _backend(scheme: str, host: str, port: int) -> HTTPClient:
    shown = f"[{host}]" if ":" in host else host
    # As kube-apiserver: a workload's certificate is not verified, nobody could know its CA.
    return HTTPClient(ClientConfig(server=f"{scheme}://{shown}:{port}", insecure=True))


async def _relay(exchange: Exchange, client: HTTPClient) -> None:
    target = exchange.target
    path = quote(target.path or "/", safe="/:@!$&'()*+,;=~-._%")
    headers = [(n, v) for n, v in exchange.headers.items() if n not in _HOP_BY_HOP and n not in _CREDENTIALS]
    try:
        if "upgrade" in exchange.headers.get("connection", "").lower():
            await _relay_upgrade(exchange, client, path, headers)
            return
        body = await exchange.body()
        async with client.stream(exchange.method, path, headers=headers, body=body, query=target.query) as answer:
            passed = [
                (name.title().encode("latin-1"), value.encode("latin-1"))
                for name, value in answer.headers.items()
                if name not in _HOP_BY_HOP
            ]
            exchange.start(answer.status, passed)
            async for chunk in answer.chunks():
                await exchange.write(chunk)
            exchange.finish()
    except OSError as error:
        raise errors.ServiceUnavailable(f"error trying to reach service: {error}") from error
    finally:
        if client.config.insecure:
            await client.close()


async def _relay_upgrade(exchange: Exchange, client: HTTPClient, path: str, headers: list[tuple[str, str]]) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", exchange.headers.get("upgrade", ""))]
    answer = await client.upgrade(exchange.method, path, headers=[*headers, *upgrade], query=exchange.target.query)
    if isinstance(answer, HTTPResponse):
        exchange.respond(answer.status, [(b"Content-Type", b"text/plain")], answer.body)
        return
    reader, writer, given = answer
    own_reader, own_writer = exchange.take_over()
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name.title()}: {value}" for name, value in given.items())]
    own_writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    await pipe.join((own_reader, own_writer), (reader, writer))
