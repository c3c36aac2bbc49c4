"""Which nodes a pod may, and would rather, run on: node selectors and node affinity.

Behaviour: component-helpers, package scheduling/corev1/nodeaffinity.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


def requirement_matches(requirement: Object, labels: Mapping[str, str]) -> bool:
    """Whether labels meet a requirement: In, NotIn, Exists, DoesNotExist, Gt, Lt; a malformed one is never met."""
    operator = requirement.get("operator")
    value = labels.get(requirement.get("key", ""))
    values: list[str] = requirement.get("values") or []
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return bool(values) and (value is None or value not in values)
    if operator == "Exists":
        return value is not None and not values
    if operator == "DoesNotExist":
        return value is None and not values
    if operator in ("Gt", "Lt") and value is not None and len(values) == 1:
        return _compares(operator, value, values[0])
    return False


def _compares(operator: str, value: str, bound: str) -> bool:
    if not _INTEGER.fullmatch(value) or not _INTEGER.fullmatch(bound):
        return False
    return int(value) > int(bound) if operator == "Gt" else int(value) < int(bound)


def _field_matches(requirement: Object, name: str) -> bool:
    """Match a field requirement; only metadata.name is one, with In or NotIn of one value."""
    values: list[str] = requirement.get("values") or []
    if requirement.get("key") != "metadata.name" or len(values) != 1:
        return False
    if requirement.get("operator") == "In":
        return bool(name == values[0])
    return requirement.get("operator") == "NotIn" and bool(name != values[0])


def term_matches(term: Object, labels: Mapping[str, str], name: str) -> bool:
    """Whether a node matches one term. A term without requirements matches no node."""
    expressions: Sequence[Any] = term.get("matchExpressions") or ()
    fields: Sequence[Any] = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(requirement_matches(one, labels) for one in expressions) and all(
        _field_matches(one, name) for one in fields
    )


def node_selector_matches(selector: Object, node: Object) -> bool:
    """Whether a node matches any term of a NodeSelector."""
    metadata = node["metadata"]
    labels = metadata.get("labels") or {}
    name = metadata.get("name", "")
    return any(term_matches(term, labels, name) for term in selector.get("nodeSelectorTerms") or ())


def _node_affinity(spec: Object) -> Object:
    found: Object = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return found


def required_matches(spec: Object, node: Object) -> bool:
    """Whether a node meets what a pod spec requires: its nodeSelector and its required node affinity."""
    selector = spec.get("nodeSelector")
    if selector:
        labels = node["metadata"].get("labels") or {}
        if any(labels.get(key) != value for key, value in selector.items()):
            return False
    required = _node_affinity(spec).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or node_selector_matches(required, node)


def preference(spec: Object, node: Object) -> int:
    """Sum of the weights of the preferred terms that a node matches."""
    metadata = node["metadata"]
    labels = metadata.get("labels") or {}
    name = metadata.get("name", "")
    total = 0
    for preferred in _node_affinity(spec).get("preferredDuringSchedulingIgnoredDuringExecution") or ():
        if preferred.get("weight") and term_matches(preferred.get("preference") or {}, labels, name):
            total += preferred["weight"]
    return total


def required_node_names(spec: Object) -> frozenset[str] | None:
    """Names of the only nodes that required affinity allows by metadata.name, None if it does not restrict names."""
    required = _node_affinity(spec).get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return None
    names: set[str] = set()
    for term in required.get("nodeSelectorTerms") or ():
        allowed: set[str] | None = None
        for one in term.get("matchFields") or ():
            if one.get("key") == "metadata.name" and one.get("operator") == "In":
                values = set(one.get("values") or ())
                allowed = values if allowed is None else allowed & values
        if allowed is None:
            return None
        names |= allowed
    return frozenset(names)
