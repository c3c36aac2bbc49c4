"""The quality-of-service class of a pod, decided at its creation and never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object

_COMPUTE = ("cpu", "memory")
GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"


def pod_qos(spec: Object) -> str:
    """Tell the class from requests and limits of cpu and memory: the pod's own, else its containers'."""
    own = spec.get("resources")
    if own and (own.get("requests") or own.get("limits")):
        holders: Iterable[Object] = ({"resources": own},)
    else:
        holders = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    requests: dict[str, object] = {}
    limits: dict[str, object] = {}
    guaranteed = True
    for holder in holders:
        resources = holder.get("resources")
        if not resources:
            guaranteed = False
            continue
        _collect(requests, resources.get("requests"))
        limited = _collect(limits, resources.get("limits"))
        guaranteed = guaranteed and limited == 2
    if not requests and not limits:
        return BEST_EFFORT
    if guaranteed and requests == limits:
        return GUARANTEED
    return BURSTABLE


def _collect(total: dict[str, object], amounts: dict[str, str] | None) -> int:
    count = 0
    for name in _COMPUTE:
        value = amounts.get(name) if amounts else None
        if value is None:
            continue
        parsed = quantity.parse(value)
        if parsed > 0:
            count += 1
            total[name] = total[name] + parsed if name in total else parsed  # type: ignore[operator]
    return count
