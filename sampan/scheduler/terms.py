"""Pod affinity terms, compiled: which pods a term means, and over which topology."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sampan.api import labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object
    from sampan.scheduler.podinfo import PodInfo


@dataclass(frozen=True, slots=True)
class Term:
    """Pods with these labels in these namespaces, near each other by topology_key. weight: of a preferred term.

    live_only: pods that are being deleted do not count (topology spread).
    """

    namespaces: frozenset[str]
    namespace_selector: labels.Selector | None
    selector: labels.Selector
    topology_key: str = ""
    weight: int = 0
    live_only: bool = False

    def matches(self, pod: PodInfo, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
        """Tell whether the term means a pod. namespaces: their labels."""
        if pod.namespace not in self.namespaces and (
            self.namespace_selector is None or not self.namespace_selector.matches(namespaces.get(pod.namespace, {}))
        ):
            return False
        if self.live_only and pod.is_terminating:
            return False
        return self.selector.matches(pod.labels)

    @property
    def unweighted(self) -> Term:
        """The term without its weight, so that equal ones share a column."""
        return replace(self, weight=0) if self.weight else self


@dataclass(frozen=True, slots=True)
class AffinityTerms:
    """All pod affinity terms of one pod. preferred: anti-affinity ones have negative weights."""

    affinity: tuple[Term, ...] = ()
    anti_affinity: tuple[Term, ...] = ()
    preferred: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.affinity or self.anti_affinity or self.preferred)


NO_TERMS = AffinityTerms()


def affinity_terms(affinity: Object, namespace: str) -> AffinityTerms:
    """Compile the podAffinity and podAntiAffinity of a pod in a namespace."""
    near, far = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    if not near and not far:
        return NO_TERMS
    required, preferred = (
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    )
    return AffinityTerms(
        affinity=tuple(_term(one, namespace) for one in near.get(required) or ()),
        anti_affinity=tuple(_term(one, namespace) for one in far.get(required) or ()),
        preferred=(
            *(_term(one["podAffinityTerm"], namespace, one["weight"]) for one in near.get(preferred) or ()),
            *(_term(one["podAffinityTerm"], namespace, -one["weight"]) for one in far.get(preferred) or ()),
        ),
    )


def _term(term: Object, namespace: str, weight: int = 0) -> Term:
    names, selector = term.get("namespaces") or (), term.get("namespaceSelector")
    return Term(
        namespaces=frozenset(names) if names or selector is not None else frozenset((namespace,)),
        namespace_selector=None if selector is None else labels.from_object(selector),
        selector=labels.from_object(term.get("labelSelector")),
        topology_key=term["topologyKey"],
        weight=weight,
    )
