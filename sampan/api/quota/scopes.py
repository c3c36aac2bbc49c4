"""Scopes of a quota: which pods and claims it counts.

Behaviour: pkg/quota/v1/evaluator/core. A quota with scopes counts only kinds that know the scope: pods, and claims by
their VolumeAttributesClass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import pods

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.object import Object

_TERMS = (
    ("podAffinity", "requiredDuringSchedulingIgnoredDuringExecution", False),
    ("podAffinity", "preferredDuringSchedulingIgnoredDuringExecution", True),
    ("podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution", False),
    ("podAntiAffinity", "preferredDuringSchedulingIgnoredDuringExecution", True),
)


def requirements(spec: Object) -> list[Object]:
    """All scope requirements of a quota's spec: plain scopes mean that they exist."""
    found = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    return [*found, *((spec.get("scopeSelector") or {}).get("matchExpressions") or ())]


def pod_matches(pod: Object, requirement: Object) -> bool:
    """Whether a pod is in a scope."""
    scope: str = requirement.get("scopeName", "")
    spec = pod["spec"]
    if scope in ("Terminating", "NotTerminating"):
        deadline = spec.get("activeDeadlineSeconds")
        terminating: bool = deadline is not None and deadline >= 0
        return terminating == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        best_effort: bool = pods.qos_class(pod) == "BestEffort"
        return best_effort == (scope == "BestEffort")
    if scope == "PriorityClass":
        name = spec.get("priorityClassName", "")
        return selects(requirement, [name] if name else [])
    if scope == "CrossNamespacePodAffinity":
        return _crosses_namespaces(spec)
    return False


def claim_matches(claim: Object, requirement: Object) -> bool:
    """Whether a claim is in a scope: by any VolumeAttributesClass that it has or is about to have."""
    if requirement.get("scopeName") != "VolumeAttributesClass":
        return False
    status = claim.get("status") or {}
    names = (
        (claim.get("spec") or {}).get("volumeAttributesClassName"), status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    )  # fmt: skip
    return selects(requirement, [name for name in names if name])


def selects(requirement: Object, names: Sequence[str]) -> bool:
    """Evaluate a requirement against the names that an object has under the scope."""
    operator, values = requirement.get("operator", ""), requirement.get("values") or ()
    if operator == "Exists":
        return bool(names)
    if operator == "DoesNotExist":
        return not names
    if operator == "In":
        return any(name in values for name in names)
    if operator == "NotIn":
        return not names or any(name not in values for name in names)
    return False


def _crosses_namespaces(spec: Object) -> bool:
    return any(one.get("namespaces") or one.get("namespaceSelector") is not None for one in _affinity_terms(spec))


def _affinity_terms(spec: Object) -> Iterable[Object]:
    affinity = spec.get("affinity") or {}
    for kind, field, weighted in _TERMS:
        for term in (affinity.get(kind) or {}).get(field) or ():
            yield term.get("podAffinityTerm") or {} if weighted else term
