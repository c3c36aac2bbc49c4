"""What validation of a pod spec tolerates because the object had it before (``GetValidationOptionsFromPodSpec``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampan.apiserver.registry.core.resourcenames import is_divisible_hugepages, is_hugepages
from sampan.apiserver.registry.validation import selectors
from sampan.apiserver.registry.validation.names import value_messages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOptions:
    """resource_is_pod: a pod itself, not a template. The rest: old faults that may stay."""

    resource_is_pod: bool = False
    allow_invalid_deletion_cost: bool = False
    allow_invalid_selector_values: bool = False
    allow_invalid_node_affinity_values: bool = False
    allow_invalid_spread_selector: bool = False
    allow_indivisible_hugepages: bool = False
    allow_nonlocal_token_path: bool = False
    allow_host_sysctls: bool = False
    allow_mount_option_policy: bool = False


NEW_POD = PodOptions(resource_is_pod=True)
NEW_TEMPLATE = PodOptions()


def options_for(old: Object | None, *, pod: bool) -> PodOptions:
    """Build the options for an update from the old spec; the options of a create when there is none.

    pod: whether the resource is a pod.
    """
    if old is None:
        return NEW_POD if pod else NEW_TEMPLATE
    context = old.get("securityContext") or {}
    shares_host = bool(old.get("hostNetwork") or old.get("hostIPC"))
    return PodOptions(
        resource_is_pod=pod,
        allow_invalid_selector_values="affinity" in old and _bad_affinity_selector(old["affinity"]),
        allow_invalid_node_affinity_values="affinity" in old and _bad_node_affinity(old["affinity"]),
        allow_invalid_spread_selector=any(
            not selectors.is_valid(one.get("labelSelector")) for one in old.get("topologySpreadConstraints") or ()
        ),
        allow_indivisible_hugepages=_has_indivisible_hugepages(old),
        allow_nonlocal_token_path=_has_nonlocal_token_path(old),
        allow_host_sysctls=shares_host and bool(context.get("sysctls")),
        allow_mount_option_policy=context.get("seLinuxChangePolicy") == "MountOption",
    )


def _terms(affinity: Object) -> Iterable[Object]:
    for kind in ("podAffinity", "podAntiAffinity"):
        one = affinity.get(kind) or {}
        yield from one.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for weighted in one.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield weighted["podAffinityTerm"]


def _bad_affinity_selector(affinity: Object) -> bool:
    return any(
        value_messages(value)
        for term in _terms(affinity)
        for name in ("labelSelector", "namespaceSelector")
        for requirement in (term.get(name) or {}).get("matchExpressions") or ()
        for value in requirement.get("values") or ()
    )


def _bad_node_affinity(affinity: Object) -> bool:
    required = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return has_invalid_values(required.get("nodeSelectorTerms"))


def has_invalid_values(terms: list[Any] | None) -> bool:
    """Whether a node selector's terms hold a value that is no label value."""
    return any(
        value_messages(value)
        for term in terms or ()
        for requirement in term.get("matchExpressions") or ()
        for value in requirement.get("values") or ()
    )


def _has_indivisible_hugepages(spec: Object) -> bool:
    return any(
        is_hugepages(name) and not is_divisible_hugepages(name, value)
        for kind in ("containers", "initContainers")
        for container in spec.get(kind) or ()
        for which in ("limits", "requests")
        for name, value in ((container.get("resources") or {}).get(which) or {}).items()
    )


def _has_nonlocal_token_path(spec: Object) -> bool:
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            path = (source.get("serviceAccountToken") or {}).get("path", "")
            if path.startswith(("/", "..")) or ".." in path.split("/"):
                return True
    return False
