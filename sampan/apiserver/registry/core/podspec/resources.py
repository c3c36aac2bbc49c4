"""Resource requirements of containers and pods, and how they may be resized."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field, quantity
from sampan.apiserver.registry.core.resourcenames import (
    container_resource_name,
    is_divisible_hugepages,
    is_hugepages,
    is_overcommit_allowed,
    pod_resource_name,
    quantity_value,
)
from sampan.apiserver.registry.validation import names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

    NameCheck = Callable[[Errors, Path, str], None]


def container_resources(
    errors: Errors, path: Path, resources: Object, claims: Collection[str], options: PodOptions
) -> None:
    """claims: names of the pod's resource claims."""
    _requirements(errors, path, resources, container_resource_name, options)
    if "claims" in resources:
        _claims(errors, path.child("claims"), resources["claims"], claims)


def pod_resources(errors: Errors, path: Path, resources: Object, options: PodOptions) -> None:
    """Resources of a pod as a whole."""
    if resources.get("claims"):
        errors.append(field.forbidden(path.child("claims"), "claims cannot be set for Resources at pod-level"))
    _requirements(errors, path, resources, pod_resource_name, options)


def _requirements(errors: Errors, path: Path, resources: Object, check_name: NameCheck, options: PodOptions) -> None:
    limits = resources.get("limits") or {}
    requests = resources.get("requests") or {}
    for name, value in limits.items():
        _amount(errors, path.child("limits").key(name), name, value, check_name, options)
    for name, value in requests.items():
        here = path.child("requests")
        _value_and_name(errors, here.key(name), name, value, check_name)
        _against_limit(errors, path, name, value, limits.get(name))
        if is_hugepages(name):
            _hugepages(errors, here.key(name), name, value, options)
    if limits.keys() & _COMPUTE or requests.keys() & _COMPUTE:
        return
    if any(is_hugepages(name) for name in (*limits, *requests)):
        errors.append(field.forbidden(path, "HugePages require cpu or memory"))


_COMPUTE = frozenset({"cpu", "memory"})


def _amount(  # noqa: PLR0917 - private, one caller
    errors: Errors, path: Path, name: str, value: str, check_name: NameCheck, options: PodOptions
) -> None:
    _value_and_name(errors, path, name, value, check_name)
    if is_hugepages(name):
        _hugepages(errors, path, name, value, options)


def _value_and_name(errors: Errors, path: Path, name: str, value: str, check_name: NameCheck) -> None:
    check_name(errors, path, name)
    quantity_value(errors, path, name, value)


def _against_limit(errors: Errors, path: Path, name: str, value: str, limit: str | None) -> None:
    if limit is None:
        if not is_overcommit_allowed(name):
            errors.append(field.required(path.child("limits"), "Limit must be set for non overcommitable resources"))
        return
    if value == limit:
        return
    requested, limited = quantity.parse(value), quantity.parse(limit)
    if requested != limited and not is_overcommit_allowed(name):
        detail = f"must be equal to {name} limit of {limit}"
        errors.append(field.invalid(path.child("requests"), value, detail))
    elif requested > limited:
        detail = f"must be less than or equal to {name} limit of {limit}"
        errors.append(field.invalid(path.child("requests"), value, detail))


def _hugepages(errors: Errors, path: Path, name: str, value: str, options: PodOptions) -> None:
    if not options.allow_indivisible_hugepages and not is_divisible_hugepages(name, value):
        errors.append(field.invalid(path, value, f"{value} is not positive integer multiple of {name}"))


def _claims(errors: Errors, path: Path, items: list[Object], known: Collection[str]) -> None:
    seen: set[str] = set()
    for position, claim in enumerate(items):
        here = path.index(position)
        name, request = claim.get("name", ""), claim.get("request", "")
        if not name:
            errors.append(field.required(here))
            continue
        if name in seen:
            errors.append(field.duplicate(here, name))
        else:
            key = f"{name}/{request}" if request else name
            if request:
                names.dns_label(errors, here.child("request"), request)
            if key in seen:
                errors.append(field.duplicate(here, key))
            elif not request:
                errors += [field.duplicate(here, name) for other in seen if other.partition("/")[0] == name]
            seen.add(key)
        if name not in known:
            error = field.not_found(here, name)
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            error.detail = f"must be one of the names in pod.spec.resourceClaims{listed}"
            errors.append(error)


def resize_policy(errors: Errors, path: Path, items: list[Object], restart_policy: str) -> None:
    """How a container takes a resize. restart_policy: the pod's."""
    seen: set[str] = set()
    for position, item in enumerate(items):
        name, policy = item.get("resourceName", ""), item.get("restartPolicy", "")
        if name in seen:
            errors.append(field.duplicate(path.index(position), name))
        seen.add(name)
        names.one_of_required(errors, path, name, ("cpu", "memory"))
        names.one_of_required(errors, path, policy, ("NotRequired", "RestartContainer"))
        if restart_policy == "Never" and policy != "NotRequired":
            detail = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            errors.append(field.invalid(path, policy, detail))
