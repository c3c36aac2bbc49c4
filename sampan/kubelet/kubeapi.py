"""The kubelet's calls to the API: pod status and deletion, claims and volumes, service-account tokens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.gvk import GroupVersionResource
from sampan.api.object import name_of, namespace_of, uid_of
from sampan.client.resources import PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, SERVICEACCOUNTS

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.client import Client

_RUNTIME_CLASSES = GroupVersionResource("node.k8s.io", "v1", "runtimeclasses")

_CONCURRENT = 4
"""Requests at once: more would only cost TLS handshakes, and the server answers each within milliseconds."""

_REFRESH_SHARE = 0.8
_REFRESH_SECONDS = 24 * 3600.0
"""A token is renewed after 80 % of its life, or a day (kubelet's token manager)."""


class KubeAPI:
    """Calls in the name of the node."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turns = asyncio.Semaphore(_CONCURRENT)

    async def patch_pod_status(self, namespace: str, name: str, patch: Object) -> Object:
        async with self._turns:
            return await self._client.resource(PODS, namespace).patch_status(name, patch)

    async def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        async with self._turns:
            await self._client.resource(PODS, namespace).delete(name, grace_period_seconds=0, uid=uid)

    async def runtime_handler(self, runtime_class: str) -> str:
        async with self._turns:
            found = await self._client.resource(_RUNTIME_CLASSES).get(runtime_class)
        handler: str = found["handler"]
        return handler

    async def claim(self, namespace: str, name: str) -> Object:
        return await self._client.resource(PERSISTENTVOLUMECLAIMS, namespace).get(name)

    async def persistent_volume(self, name: str) -> Object:
        return await self._client.resource(PERSISTENTVOLUMES).get(name)


@dataclass(slots=True)
class _Token:
    text: str
    refresh_at: float


class TokenManager:
    """Service-account tokens bound to pods, kept until they should be renewed."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._tokens: dict[tuple[str, str, int], _Token] = {}
        self._turns = asyncio.Semaphore(_CONCURRENT)

    async def token(self, pod: Object, audience: str, seconds: int) -> str:
        """Return a token for the pod's service account. Raises APIStatusError, OSError."""
        key = (uid_of(pod), audience, seconds)
        now = self._clock.time()
        cached = self._tokens.get(key)
        if cached is not None and now < cached.refresh_at:
            return cached.text
        reference = {"kind": "Pod", "apiVersion": "v1", "name": name_of(pod), "uid": uid_of(pod)}
        request = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": seconds,
                "boundObjectRef": reference,
            },
        }
        account = pod["spec"].get("serviceAccountName") or "default"
        accounts = self._client.resource(SERVICEACCOUNTS, namespace_of(pod))
        async with self._turns:
            answer = await accounts.create(request, name=account, subresource="token")
        status = answer["status"]
        life = times.parse(status["expirationTimestamp"]) - now
        refresh = now + min(life * _REFRESH_SHARE, _REFRESH_SECONDS)
        text: str = status["token"]
        self._tokens[key] = _Token(text, refresh)
        return text

    def forget(self, uid: str) -> None:
        """Drop a pod's tokens."""
        for key in [key for key in self._tokens if key[0] == uid]:
            del self._tokens[key]
