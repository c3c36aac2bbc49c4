"""Pod-level resources: what a pod's own requests and limits default to, and how they bound its containers'."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from sampan.api import field, quantity
from sampan.apiserver.registry.core.resourcenames import is_hugepages, is_overcommit_allowed

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

Amounts = dict[str, str]


def is_supported(name: str) -> bool:
    """Whether a resource can be set for the pod as a whole."""
    return name in ("cpu", "memory") or is_hugepages(name)


def _add(total: dict[str, str], amounts: Amounts) -> None:
    for name, value in amounts.items():
        total[name] = quantity.add(total[name], value) if name in total else value


def _maximum(total: dict[str, str], amounts: Amounts) -> None:
    for name, value in amounts.items():
        if name not in total or quantity.parse(value) > quantity.parse(total[name]):
            total[name] = value


def aggregate(spec: Object, which: str) -> Amounts:
    """Add up the containers' requests or limits: running ones in sum, init containers one at a time.

    which: "requests" or "limits".
    """
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, (container.get("resources") or {}).get(which) or {})
    sidecars: Amounts = {}
    initial: Amounts = {}
    for container in spec.get("initContainers") or ():
        amounts = (container.get("resources") or {}).get(which) or {}
        if container.get("restartPolicy") == "Always":
            _add(total, amounts)
            _add(sidecars, amounts)
            _maximum(initial, sidecars)
        else:
            together = dict(amounts)
            _add(together, sidecars)
            _maximum(initial, together)
    _maximum(total, initial)
    return total


def default_pod_resources(spec: Object) -> None:
    """Fill in pod-level requests and limits from the containers'."""
    resources = spec["resources"]
    _default_hugepages_limits(spec, resources)
    limits = resources.get("limits")
    if limits:
        requests = dict(resources.get("requests") or {})
        for name, value in aggregate(spec, "requests").items():
            if name not in requests and is_supported(name) and is_overcommit_allowed(name):
                requests[name] = value
        for name, value in limits.items():
            if name not in requests and is_supported(name):
                requests[name] = value
        if requests:
            resources["requests"] = requests
    _default_limits(spec, resources)


def _default_hugepages_limits(spec: Object, resources: Object) -> None:
    if not resources.get("requests") and not resources.get("limits"):
        return
    limits = dict(resources.get("limits") or {})
    for name, value in aggregate(spec, "limits").items():
        if name not in limits and is_hugepages(name):
            limits[name] = value
    if limits:
        resources["limits"] = limits


def _default_limits(spec: Object, resources: Object) -> None:
    # A limit of the whole pod follows only if each of its containers has one.
    if not resources.get("requests"):
        return
    running = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    for name in ("cpu", "memory"):
        if name in (resources.get("limits") or {}) or name not in resources["requests"]:
            continue
        if all(name in ((one.get("resources") or {}).get("limits") or {}) for one in running):
            resources.setdefault("limits", {})[name] = aggregate(spec, "limits")[name]


def validate_consistency(errors: Errors, path: Path, spec: Object) -> None:
    """Containers together may request no more than the pod, and none may have a higher limit."""
    resources = spec["resources"]
    requests = resources.get("requests") or {}
    for name, total in aggregate(spec, "requests").items():
        own = requests.get(name, "0")
        if is_supported(name) and quantity.parse(total) > quantity.parse(own):
            detail = f"must be greater than or equal to aggregate container requests of {total}"
            errors.append(field.invalid(path.child("requests").key(name), own, detail))
    limits = resources.get("limits") or {}
    for position, container in enumerate(spec.get("containers") or ()):
        for name, value in ((container.get("resources") or {}).get("limits") or {}).items():
            if name in limits and quantity.parse(value) > quantity.parse(limits[name]):
                where = path.child("containers").index(position).key(name).child("limits")
                errors.append(
                    field.invalid(where, value, f"must be less than or equal to pod limits of {limits[name]}")
                )


def pod_amount(spec: Object, name: str) -> Decimal:
    """Tell what a pod requests of one resource in all."""
    own = (spec.get("resources") or {}).get("requests") or {}
    value = own.get(name) or aggregate(spec, "requests").get(name, "0")
    return Decimal(quantity.parse(value))
