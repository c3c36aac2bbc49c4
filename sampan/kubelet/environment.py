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
from sampan.kubelet.downward import DownwardError, container_resource, pod_field
from sampan.kubelet.expansion import expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    """What a container's environment may refer to besides its own spec. services: from `service_environment`."""

    ips: Sequence[str]
    host_ips: Sequence[str]
    allocatable: Mapping[str, str]
    services: Mapping[str, str] = field(default_factory=dict)


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
    if "secretKeyRef" in source:
        return await _key_of(namespace_of(pod), source["secretKeyRef"], objects, secret=True)
    return None


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
