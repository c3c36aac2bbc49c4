"""ConfigMaps and secrets that this node's pods name: read once, then watched one by one.

A kubelet may read only what its pods refer to, so there is one informer per object, made at first use and released when
the last pod that used it is gone. The first reader does not wait for the watch: it gets a plain GET. Source: kubelet's
util/manager/watch_based_manager.go.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from sampan.api import errors
from sampan.client.resources import CONFIGMAPS, SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sampan.api.gvk import GroupVersionResource
    from sampan.api.object import Object
    from sampan.client.client import Client
    from sampan.client.informer import InformerFactory, SharedInformer
    from sampan.client.interface import Stored

_SYNC_SECONDS = 0.5

_KINDS = {CONFIGMAPS: "configmap", SECRETS: "secret"}
"""How kubelet's messages call them."""

_Key = tuple["GroupVersionResource", str, str]


class ObjectCache:
    """Serves configMaps and secrets. changed: told the namespace of an object that changed."""

    def __init__(self, client: Client, informers: InformerFactory, changed: Callable[[str], None]) -> None:
        self._client = client
        self._informers = informers
        self._changed = changed
        self._watched: dict[_Key, SharedInformer] = {}

    async def config_map(self, namespace: str, name: str) -> Object:
        """Raises NotFound."""
        return await self._get(CONFIGMAPS, namespace, name)

    async def secret(self, namespace: str, name: str) -> Object:
        """Raises NotFound."""
        return await self._get(SECRETS, namespace, name)

    async def _get(self, gvr: GroupVersionResource, namespace: str, name: str) -> Object:
        informer = self._watched.get((gvr, namespace, name))
        if informer is not None and not informer.has_synced:
            # Somebody else's GET is under way; what follows it is the informer's first list.
            with suppress(TimeoutError):
                async with asyncio.timeout(_SYNC_SECONDS):
                    await informer.wait_synced()
        if informer is None:
            # Before the GET: a pod that waits for an object to appear is woken when it does.
            informer = self._watch(gvr, namespace, name)
        kind = _KINDS[gvr]
        if not informer.has_synced:
            try:
                return await self._client.resource(gvr, namespace).get(name)
            except errors.NotFound as error:
                raise errors.NotFound(f'{kind} "{name}" not found', details=error.details) from error
        item = informer.get(namespace, name)
        if item is None:
            raise errors.NotFound(f'{kind} "{name}" not found')
        return item.object

    def _watch(self, gvr: GroupVersionResource, namespace: str, name: str) -> SharedInformer:
        informer = self._informers.informer(gvr, namespace=namespace, field_selector=f"metadata.name={name}")
        self._watched[gvr, namespace, name] = informer

        def handler(old: Stored | None, new: Stored | None) -> None:
            # The first sight of what a GET has already given is no change.
            if old is not None or new is None or informer.has_synced:
                self._changed(namespace)

        informer.add_handler(handler)
        return informer

    def retain(self, pods: list[Object]) -> None:
        """Release the informers of objects that none of these pods names."""
        wanted = {key for pod in pods for key in references(pod)}
        for key in [key for key in self._watched if key not in wanted]:
            self._informers.release(self._watched.pop(key))


def references(pod: Object) -> Iterator[_Key]:
    """List the configMaps and secrets that a pod names."""
    namespace, spec = pod["metadata"]["namespace"], pod["spec"]
    for entry in spec.get("imagePullSecrets") or ():
        yield SECRETS, namespace, entry.get("name", "")
    for container in (
        *(spec.get("initContainers") or ()),
        *spec["containers"],
        *(spec.get("ephemeralContainers") or ()),
    ):
        for source in container.get("envFrom") or ():
            yield from _named(namespace, source.get("configMapRef"), source.get("secretRef"))
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") or {}
            yield from _named(namespace, source.get("configMapKeyRef"), source.get("secretKeyRef"))
    for volume in spec.get("volumes") or ():
        secret = volume.get("secret")
        yield from _named(namespace, volume.get("configMap"), secret and {"name": secret.get("secretName", "")})
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _named(namespace, source.get("configMap"), source.get("secret"))


def _named(namespace: str, config_map: Object | None, secret: Object | None) -> Iterator[_Key]:
    if config_map is not None:
        yield CONFIGMAPS, namespace, config_map.get("name", "")
    if secret is not None:
        yield SECRETS, namespace, secret.get("name", "")
