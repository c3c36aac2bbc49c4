"""Taints of nodes and the tolerations of pods. Behaviour: component-helpers, package scheduling/corev1; core/v1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from sampan.api.object import Object

NO_SCHEDULE = "NoSchedule"
PREFER_NO_SCHEDULE = "PreferNoSchedule"
NO_EXECUTE = "NoExecute"
KEEPS_OUT = frozenset({NO_SCHEDULE, NO_EXECUTE})
"""Effects that keep a pod off a node."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)


def tolerates(toleration: Object, taint: Object, *, comparisons: bool = False) -> bool:
    """Whether one toleration tolerates one taint. comparisons: whether the operators Lt and Gt are served."""
    effect = toleration.get("effect")
    if effect and effect != taint.get("effect"):
        return False
    key = toleration.get("key")
    if key and key != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    if operator == "Equal":
        return bool(toleration.get("value", "") == taint.get("value", ""))
    return comparisons and _compares(operator, toleration.get("value", ""), taint.get("value", ""))


def _compares(operator: str, own: str, tainted: str) -> bool:
    if not _INTEGER.fullmatch(own) or not _INTEGER.fullmatch(tainted):
        return False
    if operator == "Lt":
        return int(tainted) < int(own)
    return operator == "Gt" and int(tainted) > int(own)


def is_tolerated(taint: Object, tolerations: Iterable[Object] | None, *, comparisons: bool = False) -> bool:
    """Whether any toleration tolerates the taint."""
    return any(tolerates(one, taint, comparisons=comparisons) for one in tolerations or ())


def untolerated(
    taints: Iterable[Object] | None, tolerations: Sequence[Object] | None, effects: Container[str] = KEEPS_OUT
) -> Object | None:
    """Return the first taint with one of these effects that no toleration tolerates."""
    for taint in taints or ():
        if taint.get("effect") in effects and not is_tolerated(taint, tolerations):
            return taint
    return None


def has_taint(node: Object, key: str, effect: str) -> bool:
    """Whether a node has a taint, whatever its value."""
    taints = (node.get("spec") or {}).get("taints") or ()
    return any(one.get("key") == key and one.get("effect") == effect for one in taints)


def without(taints: Iterable[Object], match: Callable[[Object], bool]) -> list[Object]:
    """Return the taints that do not match."""
    return [taint for taint in taints if not match(taint)]


def matching_tolerations(taints: Sequence[Object], tolerations: Sequence[Object] | None) -> list[Object] | None:
    """Return the tolerations that tolerate these taints, None if a taint is tolerated by none."""
    found: list[Object] = []
    for taint in taints:
        used = [one for one in tolerations or () if tolerates(one, taint)]
        if not used:
            return None
        found.extend(used)
    return found


def toleration_seconds(tolerations: Iterable[Object]) -> float | None:
    """For how long a pod may stay on a tainted node, given the tolerations in use: seconds, None for always.

    0 or less means that it has to go at once.
    """
    shortest: float | None = None
    for toleration in tolerations:
        seconds = toleration.get("tolerationSeconds")
        if seconds is None:
            continue
        if seconds <= 0:
            return 0
        shortest = seconds if shortest is None else min(shortest, seconds)
    return shortest
