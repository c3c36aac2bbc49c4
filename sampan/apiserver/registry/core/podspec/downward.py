"""References to a pod's own fields and to its containers' resources: in volumes and in the environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.api import field, quantity
from sampan.apiserver.registry.core.podspec.paths import local_nonreserved
from sampan.apiserver.registry.validation import names, numbers

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_VOLUME_FIELDS = frozenset({
    "metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid",
})  # fmt: skip
ENV_FIELDS = frozenset({
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
})  # fmt: skip
_CONVERTIBLE = ENV_FIELDS | _VOLUME_FIELDS | {
    "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host",
}  # fmt: skip
_RESOURCES = frozenset({
    "limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory",
    "requests.ephemeral-storage",
})  # fmt: skip
_HUGEPAGES = ("limits.hugepages-", "requests.hugepages-")
_SUBSCRIPTED = re.compile(r"(.*)\['(.*)'\]", re.DOTALL)
_BYTE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")


def volume_file(errors: Errors, path: Path, item: Object) -> None:
    """One file of a downwardAPI volume; reported at the volume's path, as kube-apiserver does."""
    value = item.get("path", "")
    if not value:
        errors.append(field.required(path.child("path")))
    local_nonreserved(errors, path.child("path"), value)
    reference = item.get("fieldRef")
    resource = item.get("resourceFieldRef")
    if reference is not None:
        object_field(errors, path.child("fieldRef"), reference, _VOLUME_FIELDS)
        if resource is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(field.invalid(path, "resource", detail))
    elif resource is not None:
        resource_field(errors, path.child("resourceFieldRef"), resource, in_volume=True)
    else:
        errors.append(field.required(path, "one of fieldRef and resourceFieldRef is required"))
    numbers.file_mode(errors, path.child("mode"), item.get("mode"))


def object_field(errors: Errors, path: Path, reference: Object, allowed: frozenset[str]) -> None:
    """A fieldRef. allowed: paths without subscript."""
    version = reference.get("apiVersion", "")
    value = reference.get("fieldPath", "")
    if not version:
        errors.append(field.required(path.child("apiVersion")))
        return
    if not value:
        errors.append(field.required(path.child("fieldPath")))
        return
    if version != "v1":
        detail = f"error converting fieldPath: unsupported pod version: {version}"
        errors.append(field.invalid(path.child("fieldPath"), value, detail))
        return
    match = _SUBSCRIPTED.fullmatch(value)
    if match is not None:
        _subscripted(errors, path, match[1], match[2], value)
    elif value not in _CONVERTIBLE:
        detail = f"error converting fieldPath: field label not supported: {value}"
        errors.append(field.invalid(path.child("fieldPath"), value, detail))
    elif value not in allowed:
        shown = "spec.nodeName" if value == "spec.host" else value
        if shown not in allowed:
            errors.append(field.not_supported(path.child("fieldPath"), shown, tuple(sorted(allowed))))


def _subscripted(errors: Errors, path: Path, base: str, subscript: str, value: str) -> None:
    if base == "metadata.annotations":
        names.qualified_name(errors, path, subscript.lower())
    elif base == "metadata.labels":
        names.qualified_name(errors, path, subscript)
    else:
        detail = f"error converting fieldPath: field label does not support subscript: {value}"
        errors.append(field.invalid(path.child("fieldPath"), value, detail))


def resource_field(errors: Errors, path: Path, reference: Object, *, in_volume: bool) -> None:
    """A resourceFieldRef; a volume must name the container."""
    resource = reference.get("resource", "")
    if in_volume and not reference.get("containerName"):
        errors.append(field.required(path.child("containerName")))
    elif not resource:
        errors.append(field.required(path.child("resource")))
    elif resource not in _RESOURCES and not resource.startswith(_HUGEPAGES):
        errors.append(field.not_supported(path.child("resource"), resource, tuple(sorted(_RESOURCES))))
    divisor = reference.get("divisor", "0")
    if quantity.parse(divisor) != 0:
        _divisor(errors, path.child("divisor"), resource, divisor)


def _divisor(errors: Errors, path: Path, resource: str, divisor: str) -> None:
    kind = resource.partition(".")[2]
    if kind == "cpu":
        if divisor not in ("1m", "1"):
            detail = "only divisor's values 1m and 1 are supported with the cpu resource"
            errors.append(field.invalid(path, resource, detail))
        return
    named = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(kind)
    if resource.startswith(_HUGEPAGES):
        named = "hugepages"
    if named is not None and divisor not in _BYTE_DIVISORS:
        detail = f"only divisor's values {', '.join(_BYTE_DIVISORS)} are supported with the {named} resource"
        errors.append(field.invalid(path, resource, detail))
