"""Resource amounts as integers, for arrays: CPU in thousandths, all else in whole units (bytes, devices, pods)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import pods, quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object

CPU = "cpu"
MEMORY = "memory"
EPHEMERAL_STORAGE = "ephemeral-storage"
PODS = "pods"


def amounts(resources: Mapping[str, str] | None) -> dict[str, int]:
    """Read a resource list."""
    if not resources:
        return {}
    return {
        name: quantity.milli_value(value) if name == CPU else quantity.to_int(value)
        for name, value in resources.items()
    }


def pod_requests(pod: Object) -> dict[str, int]:
    """Tell what a pod requests; of one on a node, what it has or is about to get by a resize, whichever is more."""
    placed = bool(pod["spec"].get("nodeName"))
    return {
        name: quantity.scaled(amount, 3 if name == CPU else 0)
        for name, amount in pods.requests(pod, use_status=placed).items()
    }
