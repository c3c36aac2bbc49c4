"""Resource amounts as integers: CPU in thousandths, everything else in whole units (bytes, devices, pods).

A pod's request is what it needs at its most demanding moment (Kubernetes, component-helpers/resource): containers and
sidecars together, or an init container beside the sidecars started before it; plus overhead. Requests of the pod as a
whole replace those of its containers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object

CPU = "cpu"
MEMORY = "memory"
EPHEMERAL_STORAGE = "ephemeral-storage"
PODS = "pods"

_POD_LEVEL = (CPU, MEMORY)
_HUGE_PAGES = "hugepages-"


def amounts(resources: Mapping[str, str] | None) -> dict[str, int]:
    """Read a resource list."""
    if not resources:
        return {}
    return {
        name: quantity.milli_value(value) if name == CPU else quantity.to_int(value)
        for name, value in resources.items()
    }


def pod_requests(spec: Object) -> dict[str, int]:
    """Tell what a pod requests."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        _add(total, _requests(container))
    sidecars: dict[str, int] = {}
    most: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        needed = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(total, needed)
            _add(sidecars, needed)
            needed = dict(sidecars)
        else:
            _add(needed, sidecars)
        _at_least(most, needed)
    _at_least(total, most)
    whole = amounts((spec.get("resources") or {}).get("requests"))
    total.update((name, value) for name, value in whole.items() if name in _POD_LEVEL or name.startswith(_HUGE_PAGES))
    _add(total, amounts(spec.get("overhead")))
    return total


def _requests(container: Object) -> dict[str, int]:
    return amounts((container.get("resources") or {}).get("requests"))


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _at_least(total: dict[str, int], least: Mapping[str, int]) -> None:
    for name, value in least.items():
        if value > total.get(name, 0):
            total[name] = value
