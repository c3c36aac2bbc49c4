"""The proxy subresources: HTTP to a pod, a service's endpoint or a kubelet, whatever the method.

Names may carry scheme and port: ``[scheme:]name[:port]``. A connection that the client upgrades is joined with the
backend's. Source: pkg/registry/core/{pod,service,node}/rest, k8s.io/apimachinery/pkg/util/proxy.
"""

from __future__ import annotations

import ipaddress
import random
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from sampan.api import errors
from sampan.api.gvk import GroupResource
from sampan.apiserver.authn.authenticator import PROTOCOL_HEADER, without_token
from sampan.apiserver.proxy import rewrite
from sampan.apiserver.proxy.locate import node_of
from sampan.client.config import ClientConfig
from sampan.client.http import HTTPClient, HTTPResponse
from sampan.client.streaming import pipe

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.http.upgrade import ConnectTarget, Exchange
    from sampan.apiserver.proxy.kubelets import Kubelets
    from sampan.client.http import HTTPStream

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
_PORT = re.compile(r"[0-9]{1,5}")


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
        if not host or not _is_proxyable(host):
            raise errors.BadRequest("address not allowed")
        await _relay(exchange, _backend(scheme, host, _pod_port(pod, port)))

    async def service(self, exchange: Exchange) -> None:
        """Handle services/proxy: to one of the ready endpoints."""
        target = exchange.target
        scheme, name, port = split_name(target.name)
        found = exchange.lookup("", "services", target.namespace, name)
        if found is None:
            raise errors.not_found(GroupResource("", "services"), name)
        port = _service_port(found, port)
        endpoints = exchange.lookup("", "endpoints", target.namespace, name)
        if endpoints is None:
            raise errors.not_found(GroupResource("", "endpoints"), name)
        candidates = _candidates(endpoints, port)
        if not candidates:
            raise errors.ServiceUnavailable(f'no endpoints available for service "{target.name}"')
        host, number = random.choice(candidates)  # noqa: S311 - spreads load, no secret
        if not _is_proxyable(host):
            raise errors.BadRequest("address not allowed")
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


def _is_proxyable(host: str) -> bool:
    """Whether an address may be a workload's: statuses and endpoints must not lead to the server's own loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    inner = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return not inner and str(address) != "255.255.255.255"


def _pod_port(pod: Object, port: str) -> int:
    ports = [p for c in pod["spec"].get("containers") or () for p in c.get("ports") or ()]
    if _PORT.fullmatch(port):
        return int(port)
    if not port:
        return int(ports[0]["containerPort"]) if ports else 80
    for declared in ports:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise errors.BadRequest(f'pod has no port named "{port}"')


def _service_port(service: Object, port: str) -> str:
    """Tell the name of a service's port that is given by number. Raises ServiceUnavailable."""
    if not port.isdigit():
        return port
    for declared in service["spec"].get("ports") or ():
        if declared["port"] == int(port):
            return str(declared.get("name", ""))
    name = service["metadata"]["name"]
    raise errors.ServiceUnavailable(f'no service port {port} found for service "{name}"')


def _candidates(endpoints: Object, port: str) -> list[tuple[str, int]]:
    found = []
    for subset in endpoints.get("subsets") or ():
        for declared in subset.get("ports") or ():
            if port in ("", declared.get("name", "")):
                found += [(entry["ip"], declared["port"]) for entry in subset.get("addresses") or ()]
    return found


def _backend(scheme: str, host: str, port: int) -> HTTPClient:
    shown = f"[{host}]" if ":" in host else host
    # As kube-apiserver: a workload's certificate is not verified, nobody could know its CA.
    return HTTPClient(ClientConfig(server=f"{scheme}://{shown}:{port}", insecure=True))


async def _relay(exchange: Exchange, client: HTTPClient) -> None:
    target = exchange.target
    if not target.path and exchange.method in ("GET", "HEAD"):
        _redirect(exchange)
        return
    path = quote(target.path or "/", safe="/:@!$&'()*+,;=~-._")
    headers = _forwarded(exchange)
    try:
        if "upgrade" in exchange.headers.get("connection", "").lower():
            await _relay_upgrade(exchange, client, path, headers)
            return
        body = await exchange.body()
        async with client.stream(exchange.method, path, headers=headers, body=body, query=target.query) as answer:
            await _pass_on(exchange, answer, _own_path(target), client.config.server.partition("://")[2])
    except OSError as error:
        raise errors.ServiceUnavailable(f"error trying to reach service: {error}") from error
    finally:
        if client.config.insecure:
            await client.close()


def _own_path(target: ConnectTarget) -> str:
    """Tell the path of the proxy subresource itself."""
    prefix = f"/namespaces/{target.namespace}" if target.namespace else ""
    return f"/api/v1{prefix}/{target.resource}/{target.name}/proxy"


def _redirect(exchange: Exchange) -> None:
    """Send a browser to the path with a slash, so that relative links work."""
    query = f"?{urlencode(exchange.target.query)}" if exchange.target.query else ""
    location = f"{quote(_own_path(exchange.target), safe='/:')}/{query}"
    exchange.respond(301, [(b"Location", location.encode())], b"")


async def _pass_on(exchange: Exchange, answer: HTTPStream, prefix: str, backend: str) -> None:
    """Send the backend's answer, links rewritten."""
    given, hosts = answer.headers, (backend, exchange.headers.get("host", ""))
    headers = {n: v for n, v in given.items() if n not in _HOP_BY_HOP and not n.startswith("access-control-")}
    if "location" in headers and (answer.status == 201 or 300 <= answer.status < 400):
        headers["location"] = rewrite.rewrite_url(headers["location"], prefix, hosts)
    page: bytes | None = None
    if given.get("content-type", "").partition(";")[0].strip() == "text/html" and exchange.method != "HEAD":
        raw = b"".join([chunk async for chunk in answer.chunks()])
        plain = rewrite.decoded(raw, given.get("content-encoding", ""))
        page = raw if plain is None else rewrite.rewrite_html(plain, prefix, hosts)
        if plain is not None:
            headers.pop("content-encoding", None)
        headers["content-length"] = str(len(page))
    exchange.start(answer.status, [(n.title().encode("latin-1"), v.encode("latin-1")) for n, v in headers.items()])
    if page is not None:
        await exchange.write(page)
    else:
        async for chunk in answer.chunks():
            await exchange.write(chunk)
    exchange.finish()


def _forwarded(exchange: Exchange) -> list[tuple[str, str]]:
    """The client's headers without what is between it and this server: its credentials and whom it acts as."""
    found = []
    for name, value in exchange.headers.items():
        if name in _HOP_BY_HOP or name in _CREDENTIALS or name.startswith("impersonate-"):
            continue
        text = without_token(value) if name == PROTOCOL_HEADER else value
        if text:
            found.append((name, text))
    return found


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
