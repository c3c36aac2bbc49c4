"""Names of compute resources: which are Kubernetes' own, which are extended, and how each may be used."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sampan.api import field, quantity
from sampan.apiserver.registry.validation.names import qualified_messages, report
from sampan.apiserver.registry.validation.numbers import NOT_INTEGER, is_whole, nonnegative_quantity

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.apiserver.registry.validation.names import Errors

_HUGEPAGES = "hugepages-"
_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
_QUOTA_OBJECTS = frozenset({
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
})  # fmt: skip
_QUOTA_COMPUTE = frozenset({
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
    "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
})  # fmt: skip
_STANDARD = _QUOTA_OBJECTS | _QUOTA_COMPUTE | {"storage"}
_QUOTA = _QUOTA_OBJECTS | _QUOTA_COMPUTE
_INTEGER = _QUOTA_OBJECTS


def is_hugepages(name: str) -> bool:
    return name.startswith(_HUGEPAGES)


def is_native(name: str) -> bool:
    """Unprefixed, or in a kubernetes.io domain."""
    return "/" not in name or "kubernetes.io/" in name


@lru_cache(1024)
def is_extended(name: str) -> bool:
    """A resource that a device plug-in or an operator adds: prefixed, integer, not overcommitted."""
    if is_native(name) or name.startswith("requests."):
        return False
    return not qualified_messages(f"requests.{name}")


def is_overcommit_allowed(name: str) -> bool:
    return is_native(name) and not is_hugepages(name)


@lru_cache(1024)
def is_integer(name: str) -> bool:
    return name in _INTEGER or is_extended(name)


def is_standard_quota(name: str) -> bool:
    return name in _QUOTA or name.startswith((_HUGEPAGES, "requests.hugepages-"))


def resource_name(errors: Errors, path: Path, name: str) -> bool:
    """Check any resource's name; False when it is wrong."""
    if messages := qualified_messages(name):
        report(errors, path, name, messages)
        return False
    if "/" not in name and name not in _STANDARD and not name.startswith((_HUGEPAGES, "requests.hugepages-")):
        errors.append(field.invalid(path, name, "must be a standard resource type or fully qualified"))
        return False
    return True


def container_resource_name(errors: Errors, path: Path, name: str) -> None:
    """A resource that a container can request."""
    if name in _CONTAINER:
        return
    resource_name(errors, path, name)
    if "/" not in name:
        if not is_hugepages(name):
            errors.append(field.invalid(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        errors.append(field.invalid(path, name, "doesn't follow extended resource name standard"))


def pod_resource_name(errors: Errors, path: Path, name: str) -> None:
    """A resource that a pod as a whole can request."""
    if resource_name(errors, path, name) and name not in ("cpu", "memory") and not is_hugepages(name):
        errors.append(field.not_supported(path, name, ("cpu", "hugepages-", "memory")))


def quota_resource_name(errors: Errors, path: Path, name: str) -> None:
    resource_name(errors, path, name)
    if "/" not in name and not is_standard_quota(name):
        errors.append(field.invalid(path, name, "must be a standard resource for quota"))


def quantity_value(errors: Errors, path: Path, name: str, value: str) -> None:
    """An amount of a resource: not negative, and whole where the resource is counted."""
    nonnegative_quantity(errors, path, value)
    if is_integer(name) and not is_whole(value):
        errors.append(field.invalid(path, value, NOT_INTEGER))


def is_divisible_hugepages(name: str, value: str) -> bool:
    """Whether an amount of huge pages is a positive multiple of the page size."""
    try:
        size = quantity.parse(name.removeprefix(_HUGEPAGES))
    except ValueError:
        return False
    amount = quantity.parse(value)
    return size > 0 and amount % size == 0
