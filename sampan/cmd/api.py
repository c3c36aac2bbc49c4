"""The command line's own view of the API: the administrator's client, and the questions that `up` and `status` ask."""

from __future__ import annotations

import asyncio
import secrets
import socket
import string
from typing import TYPE_CHECKING, Any, Self

from sampan.api.errors import APIStatusError, NotFound
from sampan.api.gvk import GroupVersionResource
from sampan.base.clock import RealClock, utc
from sampan.client import kubeconfig
from sampan.client.client import Client
from sampan.client.https import HTTPSTransport
from sampan.cmd.jointoken import JoinToken

if TYPE_CHECKING:
    from pathlib import Path

    from sampan.api.object import Object
    from sampan.client.client import ResourceClient
    from sampan.client.config import ClientConfig

NODES = GroupVersionResource("", "v1", "nodes")
SECRETS = GroupVersionResource("", "v1", "secrets")
SERVICE_ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")
_TOKEN_ALPHABET = string.ascii_lowercase + string.digits
_DNS_QUERY = (
    b"\x53\x4d\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"
)
"""A question for the A record of kubernetes.default.svc.cluster.local (RFC 1035, section 4.1)."""


class AdminAPI:
    """The cluster as its administrator sees it; connects when first asked, and again after the file changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = 0.0
        self._transport: HTTPSTransport | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    async def client(self) -> Client:
        """Connect with the kubeconfig's current content. Raises FileNotFoundError before the server wrote it."""
        stamp = self._path.stat().st_mtime
        if self._transport is None or stamp != self._stamp:
            await self.close()
            self._transport = HTTPSTransport(self.config())
            self._stamp = stamp
        return Client(self._transport)

    def config(self) -> ClientConfig:
        """The connection settings in the kubeconfig."""
        return kubeconfig.load(self._path).resolve()

    async def is_ready(self) -> bool:
        """Whether the API server answers /readyz with ok."""
        try:
            await self.client()
            assert self._transport is not None
            answer = await self._transport.http.request("GET", "/readyz")
        except (OSError, TimeoutError):
            return False
        return answer.status == 200

    async def has_default_service_account(self) -> bool:
        return await self._get(SERVICE_ACCOUNTS, "default", "default") is not None

    async def is_node_ready(self, name: str) -> bool:
        node = await self._get(NODES, "", name)
        return node is not None and is_ready_condition(node)

    async def nodes(self) -> list[Object]:
        listing = await (await self.client()).resource(NODES).list()
        return [item.object for item in listing.items]

    async def is_dns_ready(self, address: str) -> bool:
        """Whether the cluster DNS answers for the API's own service."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            try:
                channel.connect((address, 53))
                await loop.sock_sendall(channel, _DNS_QUERY)
                async with asyncio.timeout(0.5):
                    answer = await loop.sock_recv(channel, 512)
            except (OSError, TimeoutError):
                return False
        return len(answer) > 12 and answer[3] & 0x0F == 0 and answer[7] > 0

    async def create_join_token(self, *, ttl_seconds: int, description: str) -> str:
        """Make a bootstrap token and return it as a join token, with the CA's hash.

        Source: the Secret type bootstrap.kubernetes.io/token (kubeadm's token format).
        """
        client = await self.client()
        token = JoinToken(identity=_random(6), secret=_random(16), ca_hash=JoinToken.hash_of(self.config().ca))
        data = {
            "token-id": token.identity,
            "token-secret": token.secret,
            "description": description,
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": "system:bootstrappers:sampan:nodes",
        }
        if ttl_seconds:
            data["expiration"] = utc(RealClock().time() + ttl_seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"bootstrap-token-{token.identity}", "namespace": "kube-system"},
            "type": "bootstrap.kubernetes.io/token",
            "stringData": data,
        }
        await client.resource(SECRETS, "kube-system").create(secret)
        return str(token)

    async def resource(self, gvr: GroupVersionResource, namespace: str = "") -> ResourceClient:
        return (await self.client()).resource(gvr, namespace)

    def merge_kubeconfig(self) -> Path:
        """Add this cluster to the user's own kubeconfig and make it current; returns that file."""
        target = kubeconfig.default_paths()[0]
        kubeconfig.merge_into(target, kubeconfig.load(self._path))
        return target

    async def _get(self, gvr: GroupVersionResource, namespace: str, name: str) -> Object | None:
        try:
            return await (await self.client()).resource(gvr, namespace).get(name)
        except NotFound:
            return None
        except (OSError, TimeoutError, APIStatusError):
            return None  # the server restarts or is not up yet; the caller asks again


def is_ready_condition(obj: Object) -> bool:
    """Whether status.conditions holds Ready=True."""
    conditions: list[dict[str, Any]] = obj.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _random(length: int) -> str:
    return "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(length))
