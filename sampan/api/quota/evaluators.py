"""Evaluators: how much of which resource an object uses, kind by kind.

Behaviour: pkg/quota/v1/evaluator/core and k8s.io/apiserver/pkg/quota/v1/generic. Every kind that is stored in a
namespace can be counted (``count/<resource>.<group>``), but for those that are no lasting state.
"""

# ruff: noqa: ARG002 - an evaluator's methods have the arguments that any kind may need

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sampan.api import pods, quantity, times
from sampan.api.quota import amounts, scopes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.gvk import GroupResource
    from sampan.api.object import Object
    from sampan.api.quota.amounts import Amounts

_ALIASES = frozenset({
    ("", "configmaps"), ("", "resourcequotas"), ("", "replicationcontrollers"), ("", "secrets"),
})  # fmt: skip
"""Kinds that can also be counted by their bare name."""

_IGNORED = frozenset({
    ("", "bindings"), ("", "componentstatuses"), ("", "events"), ("events.k8s.io", "events"),
    ("authentication.k8s.io", "tokenreviews"), ("authorization.k8s.io", "subjectaccessreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"), ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
})  # fmt: skip

_POD_RESOURCES = frozenset({
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage", "limits.cpu",
    "limits.memory", "limits.ephemeral-storage", "pods", "count/pods",
})  # fmt: skip
_POD_PREFIXES = ("hugepages-", "requests.hugepages-")
_ENFORCED = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
"""What every container must name when a quota limits it."""
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_CLASS_STORAGE = ".storageclass.storage.k8s.io/requests.storage"
_CLASS_CLAIMS = ".storageclass.storage.k8s.io/persistentvolumeclaims"
_DEVICES = ".deviceclass.resource.k8s.io/devices"
_ALL_DEVICES = 32
"""What "all devices" of a class count as: the most that one allocation may hold (``AllocationResultsMaxSize``)."""


class Evaluator:
    """Counts objects of one kind; kinds that use more than their number have an evaluator of their own."""

    updates = False
    """Whether a change of an object can change what it uses."""
    resize_only = False
    """Whether only the resize subresource can."""

    def __init__(self, group: str, resource: str) -> None:
        self.group = group
        self.resource = resource
        self.count = f"count/{resource}.{group}" if group else f"count/{resource}"
        self.names = frozenset({self.count, resource} if (group, resource) in _ALIASES else {self.count})

    def handles(self, operation: str, subresource: str) -> bool:
        """Whether admission of such a request changes usage."""
        if subresource:
            return self.resize_only and operation == "UPDATE" and subresource == "resize"
        return operation == "CREATE" or (self.updates and operation == "UPDATE")

    def matching(self, names: Iterable[str]) -> list[str]:
        """Those of the resources that objects of this kind use."""
        return [name for name in names if name in self.names]

    def usage(self, obj: Object, now: float) -> Amounts:
        """What an object uses. now: seconds since 1970."""
        return dict.fromkeys(self.names, "1")

    def in_scope(self, obj: Object, requirement: Object) -> bool:
        return False

    def missing(self, obj: Object, required: Iterable[str]) -> str:
        """What the object must say and does not, "" when nothing is missing."""
        return ""

    def replenishes(self, old: Object, new: Object, now: float) -> bool:
        """Whether a change may have set something free."""
        return False

    def is_counted(self, obj: Object, spec: Object) -> bool:
        """Whether the object is in all scopes of a quota."""
        return all(self.in_scope(obj, one) for one in scopes.requirements(spec))


class _Pods(Evaluator):
    resize_only = True

    def matching(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in _POD_RESOURCES or name.startswith(_POD_PREFIXES) or _extended(name)]

    def usage(self, obj: Object, now: float) -> Amounts:
        result: Amounts = {"count/pods": "1"}
        if not _is_charged(obj, now):
            return result
        spell = _Speller(obj)
        requests = {name: spell(name, amount) for name, amount in pods.requests(obj, use_status=True).items()}
        limits = {name: spell(name, amount) for name, amount in pods.limits(obj, use_status=True).items()}
        return result | _compute_usage(requests, limits)

    def in_scope(self, obj: Object, requirement: Object) -> bool:
        return scopes.pod_matches(obj, requirement)

    def missing(self, obj: Object, required: Iterable[str]) -> str:
        spec = obj["spec"]
        own = spec.get("resources") or {}
        if own.get("requests") or own.get("limits"):
            return ""
        wanted = _ENFORCED.intersection(required)
        lacking: dict[str, set[str]] = {}
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            resources = container.get("resources") or {}
            named = _compute_usage(resources.get("requests") or {}, resources.get("limits") or {})
            for name in wanted - named.keys():
                lacking.setdefault(name, set()).add(container["name"])
        if not lacking:
            return ""
        return "must specify " + "; ".join(f"{name} for: {','.join(sorted(lacking[name]))}" for name in sorted(lacking))

    def replenishes(self, old: Object, new: Object, now: float) -> bool:
        if not _is_charged(old, now):
            return False
        return not _is_charged(new, now) or not amounts.equal(self.usage(old, now), self.usage(new, now))


class _Services(Evaluator):
    updates = True

    def __init__(self, group: str, resource: str) -> None:
        super().__init__(group, resource)
        self.names |= {"services", "services.nodeports", "services.loadbalancers"}

    def usage(self, obj: Object, now: float) -> Amounts:
        spec = obj.get("spec") or {}
        ports, balancers = 0, 0
        given = spec.get("ports") or ()
        if spec.get("type") == "NodePort":
            ports = len(given)
        elif spec.get("type") == "LoadBalancer":
            balancers = 1
            allocates = spec.get("allocateLoadBalancerNodePorts") is not False
            ports = len(given) if allocates else sum(bool(port.get("nodePort")) for port in given)
        return {
            self.count: "1", "services": "1", "services.nodeports": str(ports), "services.loadbalancers": str(balancers)
        }  # fmt: skip

    def replenishes(self, old: Object, new: Object, now: float) -> bool:
        return not amounts.equal(self.usage(old, now), self.usage(new, now))


class _Claims(Evaluator):
    updates = True

    def matching(self, names: Iterable[str]) -> list[str]:
        known = (self.count, "persistentvolumeclaims", "requests.storage")
        return [name for name in names if name in known or name.endswith((_CLASS_STORAGE, _CLASS_CLAIMS))]

    def usage(self, obj: Object, now: float) -> Amounts:
        result: Amounts = {self.count: "1", "persistentvolumeclaims": "1"}
        spec = obj.get("spec") or {}
        annotations = obj["metadata"].get("annotations") or {}
        legacy = "volume.beta.kubernetes.io/storage-class"
        storage_class = annotations[legacy] if legacy in annotations else spec.get("storageClassName") or ""
        if storage_class:
            result[storage_class + _CLASS_CLAIMS] = "1"
        requested = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
        allocated = ((obj.get("status") or {}).get("allocatedResources") or {}).get("storage")
        if requested is not None and allocated is not None and quantity.compare(allocated, requested) > 0:
            requested = allocated
        if requested is not None:
            result["requests.storage"] = requested
            if storage_class:
                result[storage_class + _CLASS_STORAGE] = requested
        return result

    def in_scope(self, obj: Object, requirement: Object) -> bool:
        return scopes.claim_matches(obj, requirement)

    def replenishes(self, old: Object, new: Object, now: float) -> bool:
        return not amounts.equal(self.usage(old, now), self.usage(new, now))


class _ResourceClaims(Evaluator):
    def matching(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name == self.count or name.endswith(_DEVICES)]

    def usage(self, obj: Object, now: float) -> Amounts:
        result: dict[str, int] = {self.count: 1}
        for request in ((obj.get("spec") or {}).get("devices") or {}).get("requests") or ():
            most: dict[str, int] = {}
            for choice in request.get("firstAvailable") or (request.get("exactly") or {},):
                name = choice.get("deviceClassName", "") + _DEVICES
                count = _ALL_DEVICES if choice.get("allocationMode") == "All" else choice.get("count", 1)
                most[name] = max(most.get(name, 0), count)
            for name, count in most.items():
                result[name] = result.get(name, 0) + count
        return {name: quantity.of(count) for name, count in result.items()}


_OWN: dict[tuple[str, str], type[Evaluator]] = {
    ("", "pods"): _Pods, ("", "services"): _Services, ("", "persistentvolumeclaims"): _Claims,
    ("resource.k8s.io", "resourceclaims"): _ResourceClaims,
}  # fmt: skip


@lru_cache(1024)
def evaluator(resource: GroupResource) -> Evaluator | None:
    """The evaluator of a kind; None for kinds that no quota counts."""
    if resource in _IGNORED:
        return None
    return _OWN.get((resource.group, resource.resource), Evaluator)(resource.group, resource.resource)


def _extended(name: str) -> bool:
    return name.startswith("requests.") and "/" in name and "kubernetes.io/" not in name


def _compute_usage(requests: Amounts, limits: Amounts) -> Amounts:
    result: Amounts = {"pods": "1"}
    for name in _COMPUTE:
        if name in requests:
            result[name] = result[f"requests.{name}"] = requests[name]
        if name in limits:
            result[f"limits.{name}"] = limits[name]
    for name, amount in requests.items():
        if name.startswith("hugepages-"):
            result[name] = result[f"requests.{name}"] = amount
        elif "/" in name and "kubernetes.io/" not in name:
            result[f"requests.{name}"] = amount
    return result


def _is_charged(pod: Object, now: float) -> bool:
    """Whether a pod counts with its resources: it has not ended and has not overstayed its grace period."""
    if pods.is_terminal(pod):
        return False
    metadata = pod["metadata"]
    ends, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    return not ends or grace is None or now <= times.parse(ends) + grace


class _Speller:
    """Spells sums with the family of suffixes that the first container used, as Go's quantities come out."""

    def __init__(self, pod: Object) -> None:
        self._holders = [pod["spec"], *pods.all_containers(pod["spec"])]

    def __call__(self, name: str, amount: object) -> str:
        for holder in self._holders:
            resources = holder.get("resources") or {}
            given = (resources.get("requests") or {}).get(name) or (resources.get("limits") or {}).get(name)
            if given is not None and quantity.parse(given):
                return quantity.of(amount, quantity.format_of(given))  # type: ignore[arg-type]
        return quantity.of(amount)  # type: ignore[arg-type]
