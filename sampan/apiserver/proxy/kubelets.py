"""Reaching a node's kubelet: its address and port from the Node, TLS in the API server's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.client.config import ClientConfig
from sampan.client.http import HTTPClient

if TYPE_CHECKING:
    from sampan.api.object import Object

_ADDRESS_TYPES = ("InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS")
_DEFAULT_PORT = 10250
_KEPT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletCredentials:
    """The API server's identity towards kubelets, PEM. ca: of kubelets' serving certificates."""

    ca: bytes
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)


class Kubelets:
    """HTTP clients to kubelets, one per address."""

    def __init__(self, credentials: KubeletCredentials) -> None:
        self._credentials = credentials
        self._clients: dict[str, HTTPClient] = {}

    def client(self, node: Object) -> HTTPClient:
        """Return the client of a node's kubelet. Raises InternalError when the Node tells no address."""
        url = address(node)
        found = self._clients.get(url)
        if found is None:
            while len(self._clients) >= _KEPT:
                del self._clients[next(iter(self._clients))]
            own = self._credentials
            config = ClientConfig(server=url, ca=own.ca, certificate=own.certificate, key=own.key)
            found = self._clients[url] = HTTPClient(config)
        return found

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()


def address(node: Object) -> str:
    """Tell a kubelet's URL. Raises InternalError."""
    status = node.get("status") or {}
    found = {entry["type"]: entry["address"] for entry in reversed(status.get("addresses") or [])}
    host = next((found[kind] for kind in _ADDRESS_TYPES if found.get(kind)), None)
    if host is None:
        raise errors.internal(f"no preferred addresses found; known addresses: {list(found.values())}")
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or _DEFAULT_PORT
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
