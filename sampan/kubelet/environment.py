"""A container's environment, from all its sources, in kubelet's order of precedence.

``envFrom`` first, then ``env`` in order (later wins, ``$(NAME)`` sees what came before and the services), services last
and only where nothing else set the name.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sampan.api.errors import NotFound
from sampan.api.object import namespace_of
from sampan.base.errors import SampanError
from sampan.kubelet import envfile
from sampan.kubelet.downward import DownwardError, container_resource, pod_field
from sampan.kubelet.expansion import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sampan.api.object import Object


class ContainerConfigError(SampanError):
    """A container cannot be configured (CreateContainerConfigError); the text is kubelet's."""


class ObjectSource(Protocol):
    """Gives the configMaps and secrets that pods of this node name."""

    async def config_map(self, namespace: str, name: str) -> Object:
        """Raises NotFound."""
        ...

    async def secret(self, namespace: str, name: str) -> Object:
        """Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a container's environment may refer to besides its own spec. services: from `service_environment`.

    volume_root: volume name -> directory on the host.
    """

    ips: Sequence[str]
    host_ips: Sequence[str]
    allocatable: Mapping[str, str]
    services: Mapping[str, str] = field(default_factory=dict)
    volume_root: Callable[[str], Path] | None = None


async def environment(pod: Object, container: Object, objects: ObjectSource, around: Surroundings) -> dict[str, str]:
    """Build name -> value. Raises ContainerConfigError."""
    result: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        result.update(await _from_source(namespace_of(pod), source, objects))
    known = _Layered(result, around.services)
    for variable in container.get("env") or ():
        if "valueFrom" not in variable:
            result[variable["name"]] = expand(variable.get("value", ""), known)
            continue
        value = await _value_from(pod, container, variable["valueFrom"], objects, around)
        if value is not None:
            result[variable["name"]] = value
    for name, value in around.services.items():
        result.setdefault(name, value)
    return result


class _Layered(dict[str, str]):
    """Looks up in two mappings without copying them; only `get` and `in` are used by expansion."""

    def __init__(self, first: Mapping[str, str], second: Mapping[str, str]) -> None:
        super().__init__()
        self._first, self._second = first, second

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        return self._first.get(key) or (self._second.get(key, default) if key not in self._first else "")

    def __contains__(self, key: object) -> bool:
        return key in self._first or key in self._second


async def _from_source(namespace: str, source: Object, objects: ObjectSource) -> dict[str, str]:
    prefix = source.get("prefix", "")
    if "configMapRef" in source:
        reference = source["configMapRef"]
        try:
            data = (await objects.config_map(namespace, reference.get("name", ""))).get("data") or {}
        except NotFound as error:
            if reference.get("optional"):
                return {}
            raise ContainerConfigError(error.message) from error
    elif "secretRef" in source:
        reference = source["secretRef"]
        try:
            data = secret_texts(await objects.secret(namespace, reference.get("name", "")))
        except NotFound as error:
            if reference.get("optional"):
                return {}
            raise ContainerConfigError(error.message) from error
    else:
        return {}
    return {prefix + key: value for key, value in data.items() if _is_variable_name(prefix + key)}


def _is_variable_name(name: str) -> bool:
    """Relaxed rule since v1.30: printable ASCII but ``=``."""
    return bool(name) and all(" " <= char <= "~" and char != "=" for char in name)


def secret_texts(secret: Object) -> dict[str, str]:
    """Decode a secret's data to text."""
    return {
        key: base64.b64decode(value or "").decode("utf-8", "surrogateescape")
        for key, value in (secret.get("data") or {}).items()
    }


async def _value_from(
    pod: Object, container: Object, source: Object, objects: ObjectSource, around: Surroundings
) -> str | None:
    try:
        if "fieldRef" in source:
            path = source["fieldRef"]["fieldPath"]
            return pod_field(pod, path, ips=around.ips, host_ips=around.host_ips)
        if "resourceFieldRef" in source:
            return container_resource(pod, source["resourceFieldRef"], container["name"], around.allocatable)
    except DownwardError as error:
        raise ContainerConfigError(str(error)) from error
    if "configMapKeyRef" in source:
        return await _key_of(namespace_of(pod), source["configMapKeyRef"], objects, secret=False)
    if "fileKeyRef" in source:
        return _file_key(source["fileKeyRef"], around)
    if "secretKeyRef" in source:
        return await _key_of(namespace_of(pod), source["secretKeyRef"], objects, secret=True)
    return None


def _file_key(reference: Object, around: Surroundings) -> str | None:
    """Read a variable that an init container has left in a file of an emptyDir (KEP-3721)."""
    optional = reference.get("optional", False)
    root = around.volume_root(reference["volumeName"]) if around.volume_root else None
    try:
        if root is None:
            raise FileNotFoundError(reference["volumeName"])
        # The file is the container's: a link in it must not lead out of the volume.
        path = root.joinpath(reference["path"]).resolve()
        if not path.is_relative_to(root.resolve()):
            raise ContainerConfigError(f"path {reference['path']} leads out of volume {reference['volumeName']}")
        value = envfile.lookup(path.read_text("utf-8", "replace"), reference["key"])
    except OSError as error:
        if optional:
            return None
        raise ContainerConfigError(f"couldn't parse env file {reference['path']}: {error}") from error
    except ValueError as error:
        raise ContainerConfigError(f"couldn't parse env file {reference['path']}: {error}") from error
    if value is None and not optional:
        raise ContainerConfigError(f"environment variable key {reference['key']} not found in file {reference['path']}")
    return value


async def _key_of(namespace: str, reference: Object, objects: ObjectSource, *, secret: bool) -> str | None:
    name, key, optional = reference.get("name", ""), reference["key"], reference.get("optional", False)
    try:
        if secret:
            data = secret_texts(await objects.secret(namespace, name))
        else:
            data = (await objects.config_map(namespace, name)).get("data") or {}
    except NotFound as error:
        if optional:
            return None
        raise ContainerConfigError(error.message) from error
    if key in data:
        return data[key]
    if optional:
        return None
    raise ContainerConfigError(f"couldn't find key {key} in {'Secret' if secret else 'ConfigMap'} {namespace}/{name}")
