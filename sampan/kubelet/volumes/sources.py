"""The files of configMap, secret, downwardAPI and projected volumes.

Source: kubelet's pkg/volume/{configmap,secret,downwardapi,projected}; error texts are theirs.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sampan.api.errors import NotFound
from sampan.api.object import namespace_of
from sampan.kubelet.downward import DownwardError, container_resource, pod_field
from sampan.kubelet.volumes.atomicwriter import File
from sampan.kubelet.volumes.errors import VolumeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object
    from sampan.kubelet.environment import ObjectSource

_DEFAULT_MODE = 0o644
_DEFAULT_TOKEN_SECONDS = 3600


class TokenSource(Protocol):
    """Gives service-account tokens, cached and refreshed before they expire."""

    async def token(self, pod: Object, audience: str, seconds: int) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where volume contents come from."""

    objects: ObjectSource
    tokens: TokenSource
    allocatable: Mapping[str, str]
    host_ips: Sequence[str]


async def volume_files(pod: Object, volume: Object, sources: Sources, ips: Sequence[str]) -> dict[str, File]:
    """Build path -> file for one volume. Raises VolumeError."""
    if "configMap" in volume:
        source = volume["configMap"]
        return await config_map_files(pod, source, source.get("defaultMode", _DEFAULT_MODE), sources)
    if "secret" in volume:
        source = {**volume["secret"], "name": volume["secret"].get("secretName", "")}
        return await secret_files(pod, source, source.get("defaultMode", _DEFAULT_MODE), sources)
    if "downwardAPI" in volume:
        source = volume["downwardAPI"]
        return downward_files(pod, source, source.get("defaultMode", _DEFAULT_MODE), sources, ips)
    projected = volume["projected"]
    mode = projected.get("defaultMode", _DEFAULT_MODE)
    files: dict[str, File] = {}
    for source in projected.get("sources") or ():
        files.update(await _projection(pod, source, mode, sources, ips))
    return files


async def _projection(pod: Object, source: Object, mode: int, sources: Sources, ips: Sequence[str]) -> dict[str, File]:
    if "configMap" in source:
        return await config_map_files(pod, source["configMap"], mode, sources)
    if "secret" in source:
        return await secret_files(pod, source["secret"], mode, sources)
    if "downwardAPI" in source:
        return downward_files(pod, source["downwardAPI"], mode, sources, ips)
    if "serviceAccountToken" in source:
        return await _token_file(pod, source["serviceAccountToken"], mode, sources)
    raise VolumeError(f"projected volume source {', '.join(source)} is not supported by this node")


async def _token_file(pod: Object, token: Object, mode: int, sources: Sources) -> dict[str, File]:
    seconds = token.get("expirationSeconds") or _DEFAULT_TOKEN_SECONDS
    text = await sources.tokens.token(pod, token.get("audience", ""), seconds)
    # One uid for all containers may own the token; a group shares it; otherwise everybody in the pod reads it.
    users = {
        (c.get("securityContext") or {}).get("runAsUser", (pod["spec"].get("securityContext") or {}).get("runAsUser"))
        for c in [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    }
    owner = users.pop() if len(users) == 1 else None
    if (pod["spec"].get("securityContext") or {}).get("fsGroup") is not None or owner is not None:
        mode = 0o600
    return {token["path"]: File(text.encode(), mode, owner)}


async def config_map_files(pod: Object, source: Object, mode: int, sources: Sources) -> dict[str, File]:
    """Build the files of a configMap source. Raises VolumeError."""
    try:
        config = await sources.objects.config_map(namespace_of(pod), source.get("name", ""))
    except NotFound as error:
        if source.get("optional"):
            return {}
        raise VolumeError(error.message) from error
    data = {key: text.encode() for key, text in (config.get("data") or {}).items()}
    data.update({key: base64.b64decode(text) for key, text in (config.get("binaryData") or {}).items()})
    return _pick(data, source, mode, "configmap references non-existent config key")


async def secret_files(pod: Object, source: Object, mode: int, sources: Sources) -> dict[str, File]:
    """Build the files of a secret source. Raises VolumeError."""
    try:
        secret = await sources.objects.secret(namespace_of(pod), source.get("name", ""))
    except NotFound as error:
        if source.get("optional"):
            return {}
        raise VolumeError(error.message) from error
    data = {key: base64.b64decode(text or "") for key, text in (secret.get("data") or {}).items()}
    return _pick(data, source, mode, "references non-existent secret key")


def _pick(data: Mapping[str, bytes], source: Object, mode: int, complaint: str) -> dict[str, File]:
    items = source.get("items")
    if not items:
        return {key: File(content, mode) for key, content in data.items()}
    files = {}
    for item in items:
        if item["key"] in data:
            files[item["path"]] = File(data[item["key"]], item.get("mode", mode))
        elif not source.get("optional"):
            raise VolumeError(f"{complaint}: {item['key']}")
    return files


def downward_files(pod: Object, source: Object, mode: int, sources: Sources, ips: Sequence[str]) -> dict[str, File]:
    """Build the files of a downwardAPI source. Raises VolumeError."""
    files = {}
    for item in source.get("items") or ():
        try:
            if "fieldRef" in item:
                path = item["fieldRef"]["fieldPath"]
                text = pod_field(pod, path, ips=ips, host_ips=sources.host_ips)
            else:
                text = container_resource(pod, item["resourceFieldRef"], "", sources.allocatable)
        except DownwardError as error:
            raise VolumeError(str(error)) from error
        files[item["path"]] = File(text.encode(), item.get("mode", mode))
    return files
