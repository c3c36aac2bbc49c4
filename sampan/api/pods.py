"""Pure rules of pods that several components need: conditions, phases, QoS, resource requests and limits.

Behaviour: kubernetes, packages api/v1/pod, apis/core/v1/helper/qos; component-helpers, package resource.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from sampan.api import quantity, times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sampan.api.object import Object

Amounts = dict[str, Decimal]
"""Amounts by resource name."""

TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})
_QOS_RESOURCES = ("cpu", "memory")


def phase_of(pod: Object) -> str:
    """Tell the phase, "" when none is set."""
    result: str = (pod.get("status") or {}).get("phase", "")
    return result


def is_terminal(pod: Object) -> bool:
    """Whether the pod has ended for good, well or not."""
    return phase_of(pod) in TERMINAL_PHASES


def is_terminating(pod: Object) -> bool:
    """Whether the pod is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_active(pod: Object) -> bool:
    """Whether the pod counts for its controller: neither ended nor being deleted."""
    return not is_terminal(pod) and not is_terminating(pod)


def condition(pod: Object, kind: str) -> Object | None:
    """Return a condition of the status by its type."""
    for one in (pod.get("status") or {}).get("conditions") or ():
        if one.get("type") == kind:
            found: Object = one
            return found
    return None


def is_ready(pod: Object) -> bool:
    """Whether the Ready condition is True."""
    found = condition(pod, "Ready")
    return found is not None and found.get("status") == "True"


def is_available(pod: Object, min_ready_seconds: int, now: float) -> bool:
    """Whether the pod has been ready for long enough. now: seconds since 1970."""
    found = condition(pod, "Ready")
    if found is None or found.get("status") != "True":
        return False
    if not min_ready_seconds:
        return True
    since: str = found.get("lastTransitionTime") or ""
    return bool(since) and times.parse(since) + min_ready_seconds <= now


def available_in(pod: Object, min_ready_seconds: int, now: float) -> float | None:
    """Seconds until a ready pod becomes available, None for one that is not ready. now: seconds since 1970."""
    found = condition(pod, "Ready")
    if found is None or found.get("status") != "True" or not found.get("lastTransitionTime"):
        return None
    return max(0.0, times.parse(found["lastTransitionTime"]) + min_ready_seconds - now)


def is_host_network(pod: Object) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def is_restartable_init(container: Object) -> bool:
    """Whether an init container is a sidecar: it goes on running beside the others."""
    return container.get("restartPolicy") == "Always"


def all_containers(spec: Object) -> Iterator[Object]:
    """Init, ordinary and ephemeral containers, in the order in which Kubernetes visits them."""
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()
    yield from spec.get("ephemeralContainers") or ()


def is_static(pod: Object) -> bool:
    """Whether the pod comes from a file or URL of its kubelet."""
    source: str = (pod["metadata"].get("annotations") or {}).get("kubernetes.io/config.source", "api")
    return source != "api"


def is_mirror(pod: Object) -> bool:
    """Whether the pod shows a static pod in the API."""
    return "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {})


def qos_class(pod: Object) -> str:
    """Compute the QoS class of a pod from its spec: Guaranteed, Burstable or BestEffort."""
    spec = pod["spec"]
    requests: Amounts = {}
    limits: Amounts = {}
    guaranteed = True
    own = spec.get("resources")
    if own:
        sources = [own]
    else:
        sources = [one.get("resources") or {} for one in spec.get("containers") or ()]
        sources += [one.get("resources") or {} for one in spec.get("initContainers") or ()]
    for resources in sources:
        _add(requests, _positive(resources.get("requests")))
        limited = _positive(resources.get("limits"))
        _add(limits, limited)
        if len(limited) < len(_QOS_RESOURCES):
            guaranteed = False
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requests == limits else "Burstable"


def qos_class_of(pod: Object) -> str:
    """Tell the QoS class: what the status says, else what the spec makes it."""
    found: str = (pod.get("status") or {}).get("qosClass", "")
    return found or qos_class(pod)


def _positive(amounts: Mapping[str, str] | None) -> Amounts:
    if not amounts:
        return {}
    found = {name: quantity.parse(amounts[name]) for name in _QOS_RESOURCES if name in amounts}
    return {name: amount for name, amount in found.items() if amount > 0}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, Decimal(0)) + amount


def _raise(total: Amounts, least: Amounts) -> None:
    for name, amount in least.items():
        if name not in total or amount > total[name]:
            total[name] = amount


def _parsed(amounts: Mapping[str, str] | None) -> Amounts:
    return {name: quantity.parse(amount) for name, amount in amounts.items()} if amounts else {}


def is_pod_level_resource(name: str) -> bool:
    """Whether a resource may be asked for by the pod as a whole."""
    return name in _QOS_RESOURCES or name.startswith("hugepages-")


def requests(pod: Object, *, use_status: bool = False, overhead: bool = True) -> Amounts:
    """Sum up what a pod asks of a node.

    Init containers run one after another, sidecars beside all that follow. use_status: count for a pod that is being
    resized what it has and what it is about to get, whichever is more.
    """
    spec = pod["spec"]
    total = _aggregate(spec, "requests", _actual_requests(pod) if use_status else None)
    _replace_with_pod_level(total, spec, "requests")
    if overhead and spec.get("overhead"):
        _add(total, _parsed(spec["overhead"]))
    return total


def limits(pod: Object, *, use_status: bool = False, overhead: bool = True) -> Amounts:
    """Sum up what a pod may use at most; overhead counts only where there is a limit at all."""
    spec = pod["spec"]
    total = _aggregate(spec, "limits", _actual_limits(pod) if use_status else None)
    _replace_with_pod_level(total, spec, "limits")
    if overhead and spec.get("overhead"):
        _add(total, {name: amount for name, amount in _parsed(spec["overhead"]).items() if name in total})
    return total


def _replace_with_pod_level(total: Amounts, spec: Object, which: str) -> None:
    own = (spec.get("resources") or {}).get(which)
    if own:
        total.update({name: quantity.parse(amount) for name, amount in own.items() if is_pod_level_resource(name)})


def _aggregate(spec: Object, which: str, actual: Mapping[str, Amounts] | None) -> Amounts:
    def amounts_of(container: Object) -> Amounts:
        if actual is not None and container["name"] in actual:
            return actual[container["name"]]
        return _parsed((container.get("resources") or {}).get(which))

    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, amounts_of(container))
    beside: Amounts = {}
    least: Amounts = {}
    for container in spec.get("initContainers") or ():
        amounts = amounts_of(container)
        if is_restartable_init(container):
            _add(total, amounts)
            _add(beside, amounts)
            _raise(least, beside)
        else:
            needed = dict(amounts)
            _add(needed, beside)
            _raise(least, needed)
    _raise(total, least)
    return total


def _statuses(pod: Object) -> Iterable[Object]:
    status = pod.get("status") or {}
    yield from status.get("containerStatuses") or ()
    yield from status.get("initContainerStatuses") or ()


def _by_name(spec: Object) -> dict[str, Object]:
    found = {one["name"]: one for one in spec.get("containers") or ()}
    found.update((one["name"], one) for one in spec.get("initContainers") or () if is_restartable_init(one))
    return found


def _actual_requests(pod: Object) -> dict[str, Amounts]:
    """What running containers have or are about to get, by name."""
    pending = condition(pod, "PodResizePending")
    infeasible = pending is not None and pending.get("reason") == "Infeasible"
    containers = _by_name(pod["spec"])
    found: dict[str, Amounts] = {}
    for status in _statuses(pod):
        resources = status.get("resources")
        container = containers.get(status.get("name", ""))
        if resources is None or container is None:
            continue
        amounts: Amounts = {} if infeasible else _parsed((container.get("resources") or {}).get("requests"))
        _raise(amounts, _parsed(resources.get("requests")))
        _raise(amounts, _parsed(status.get("allocatedResources")))
        found[container["name"]] = amounts
    return found


def _actual_limits(pod: Object) -> dict[str, Amounts]:
    pending = condition(pod, "PodResizePending")
    infeasible = pending is not None and pending.get("reason") == "Infeasible"
    containers = _by_name(pod["spec"])
    found: dict[str, Amounts] = {}
    for status in _statuses(pod):
        resources = status.get("resources")
        container = containers.get(status.get("name", ""))
        if resources is None or container is None:
            continue
        amounts: Amounts = {} if infeasible else _parsed((container.get("resources") or {}).get("limits"))
        _raise(amounts, _parsed(resources.get("limits")))
        found[container["name"]] = amounts
    return found
