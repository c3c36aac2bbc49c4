"""Calls from the API server to webhooks and aggregated servers: where a service lives, and errors as Go words them.

A service is reached through its ready endpoints, as kube-apiserver does with ``--enable-aggregator-routing``: that
works whether or not this machine forwards cluster addresses. TLS verifies the name ``<service>.<namespace>.svc``.
"""

from __future__ import annotations

import random
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.base.errors import SampanError
from sampan.client.config import ClientConfig
from sampan.client.http import HTTPClient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import Getter, Objects

_CLIENTS = 256


class ResolveError(SampanError):
    """A service leads nowhere; the text is kube-apiserver's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server to call.

    authority: as the client knows it. address, port: where it is. ca: PEM, empty for the system's own.
    """

    scheme: str = "https"
    authority: str
    address: str
    port: int
    server_name: str = ""
    ca: bytes = b""
    insecure: bool = False
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)


class Outbound:
    """HTTP clients to other servers, pooled by target."""

    def __init__(self, lookup: Getter, objects: Objects) -> None:
        self._lookup = lookup
        self._objects = objects
        self._clients: dict[Target, HTTPClient] = {}

    def client(self, target: Target) -> HTTPClient:
        """The client of a target, with its idle connections."""
        found = self._clients.get(target)
        if found is None:
            while len(self._clients) >= _CLIENTS:
                del self._clients[next(iter(self._clients))]
            shown = f"[{target.address}]" if ":" in target.address else target.address
            config = ClientConfig(
                server=f"{target.scheme}://{shown}:{target.port}", ca=target.ca, insecure=target.insecure,
                server_name=target.server_name, certificate=target.certificate, key=target.key,
                user_agent="kube-apiserver-admission",
            )  # fmt: skip
            found = self._clients[target] = HTTPClient(config, authority=target.authority)
        return found

    async def close(self) -> None:
        """Close all idle connections."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()

    def resolve(self, namespace: str, name: str, port: int) -> tuple[str, int]:
        """Choose an address and port of a service. Raises ResolveError."""
        service = self._lookup("", "services", namespace, name)
        if service is None:
            raise ResolveError(f'service "{name}" not found')
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return spec.get("externalName", ""), port
        declared = next((one for one in spec.get("ports") or () if one.get("port") == port), None)
        if declared is None:
            raise ResolveError(f'no service port {port} found for service "{name}"')
        found = list(self._endpoints(namespace, name, declared))
        if not found:
            raise ResolveError(f'no endpoints available for service "{name}"')
        return random.choice(found)  # noqa: S311 - spreads load, no secret

    def _endpoints(self, namespace: str, name: str, declared: Object) -> Iterable[tuple[str, int]]:
        for piece in self._objects("discovery.k8s.io", "endpointslices", namespace):
            if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
                continue
            for port in piece.get("ports") or ():
                if (port.get("name") or "") != declared.get("name", "") or not port.get("port"):
                    continue
                for endpoint in piece.get("endpoints") or ():
                    if (endpoint.get("conditions") or {}).get("ready") is not False:
                        for address in endpoint.get("addresses") or ():
                            yield address, port["port"]


def go_error(error: BaseException, target: Target | None) -> str:
    """Word a network error as Go does."""
    where = f"{target.address}:{target.port}" if target is not None else ""
    if isinstance(error, TimeoutError):
        return "context deadline exceeded"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: {_certificate_error(error, target)}"
    if isinstance(error, ssl.SSLError):
        return f"remote error: tls: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {target.address if target else ''}: no such host"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {where}: connect: connection refused"
    if isinstance(error, ConnectionResetError):
        return "read: connection reset by peer"
    if isinstance(error, ConnectionError):
        return "EOF"
    if isinstance(error, OSError):
        return f"dial tcp {where}: connect: {(error.strerror or str(error)).lower()}"
    return str(error)


def _certificate_error(error: ssl.SSLCertVerificationError, target: Target | None) -> str:
    text = error.verify_message or ""
    if "self-signed" in text or "self signed" in text or "unable to get" in text:
        return "x509: certificate signed by unknown authority"
    if "expired" in text:
        return "x509: certificate has expired or is not yet valid"
    if "mismatch" in text or "not valid for" in text:
        return f"x509: certificate is not valid for {target.server_name if target else ''}"
    return f"x509: {text}"


def unstructured_error(status: int, body: bytes) -> str:
    """What client-go makes of an answer that is no Status."""
    known = {
        400: "the server rejected our request for an unknown reason",
        401: "the server has asked for the client to provide credentials",
        404: "the server could not find the requested resource",
        405: "the server does not allow this method on the requested resource",
        409: "the server reported a conflict",
        422: "the server rejected our request due to an error in our request",
        429: "the server has received too many requests and has asked us to try again later",
        503: "the server is currently unable to handle the request",
        504: "the server was unable to return a response in the time allotted, but may still be processing the request",
    }
    if status in known:
        return known[status]
    text = body.decode(errors="replace").strip()
    if status in (403, 406, 415) and text:
        return text
    if status >= 500:
        from sampan.api.field import go_quote  # noqa: PLC0415 - only for errors

        return f"an error on the server ({go_quote(text or 'unknown')}) has prevented the request from succeeding"
    return f"the server responded with the status code {status} but did not return more details"
