"""Node selectors and tolerations, compiled once per pod instead of once per node.

The rules are those of Kubernetes' component-helpers (scheduling/corev1/nodeaffinity, and toleration matching).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.labels import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.labels import Operator
    from sampan.api.object import Object
    from sampan.scheduler.nodeinfo import NodeInfo

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_OPERATORS: dict[str, Operator] = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
    "Gt": "gt",
    "Lt": "lt",
}


class TermMatcher:
    """One nodeSelectorTerm: all its expressions over labels and fields; an empty one matches nothing."""

    __slots__ = ("_fields", "_labels")

    def __init__(self, term: Object) -> None:
        self._labels = [_requirement(one) for one in term.get("matchExpressions") or ()]
        self._fields = [_requirement(one) for one in term.get("matchFields") or ()]

    def matches(self, node: NodeInfo) -> bool:
        if not self._labels and not self._fields:
            return False
        if not all(one.matches(node.labels) for one in self._labels):
            return False
        fields = {"metadata.name": node.name}
        return all(one.matches(fields) for one in self._fields)


class NodeMatcher:
    """A pod's nodeSelector and its required node affinity together."""

    __slots__ = ("_selector", "_terms")

    def __init__(self, spec: Object) -> None:
        self._selector: dict[str, str] = spec.get("nodeSelector") or {}
        required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED)
        self._terms: list[TermMatcher] | None = None
        if required is not None:
            self._terms = [TermMatcher(one) for one in required.get("nodeSelectorTerms") or ()]

    @property
    def is_everything(self) -> bool:
        return not self._selector and self._terms is None

    def matches(self, node: NodeInfo) -> bool:
        """Tell whether a pod may run on a node."""
        for key, value in self._selector.items():
            if node.labels.get(key) != value:
                return False
        return self._terms is None or any(one.matches(node) for one in self._terms)


def preferred_terms(terms: Iterable[Object]) -> list[tuple[int, TermMatcher]]:
    """Compile preferredSchedulingTerms to (weight, matcher); those of weight 0 and empty ones never count."""
    return [(one["weight"], TermMatcher(one.get("preference") or {})) for one in terms if one.get("weight")]


def tolerates(toleration: Object, taint: Object) -> bool:
    """Tell whether a toleration tolerates a taint."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    # An empty key tolerates everything only with Exists, which validation insists on.
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def _requirement(expression: Object) -> Requirement:
    return Requirement(expression["key"], _OPERATORS[expression["operator"]], expression.get("values") or ())
