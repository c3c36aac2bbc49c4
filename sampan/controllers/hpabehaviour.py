"""How fast a HorizontalPodAutoscaler may follow its metrics: stabilization, rate policies, limits.

Behaviour: kube-controller-manager's pkg/controller/podautoscaler (KEP-853). Within the window of a direction the least
far-reaching recommendation counts; policies bound how many pods may come or go within their period. Without a behaviour
the historic rules hold: down after 5 minutes, up to twice as many, but 4 at once always.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object

_DOWN_WINDOW = 300.0


class Verdict(NamedTuple):
    """replicas, and the conditions AbleToScale and ScalingLimited: (status, reason, message)."""

    replicas: int
    able: tuple[bool, str, str]
    limited: tuple[bool, str, str]


@dataclass(slots=True)
class History:
    """What one autoscaler recommended and did: (epoch seconds, replicas), (epoch seconds, pods added or removed)."""

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    ups: list[tuple[float, int]] = field(default_factory=list)
    downs: list[tuple[float, int]] = field(default_factory=list)

    def scaled(self, change: int, now: float, behaviour: Object | None) -> None:
        """Note a change of the scale."""
        events = self.ups if change > 0 else self.downs
        longest = max((one["periodSeconds"] for one in _policies(behaviour, up=change > 0)), default=0)
        events[:] = [one for one in events if one[0] > now - longest]
        events.append((now, abs(change)))


def normalize(
    desired: int, current: int, *, least: int, most: int, behaviour: Object | None, history: History, now: float
) -> Verdict:
    """Bring what metrics ask for to what may be done now."""
    up_window = _window(behaviour, up=True)
    down_window = _window(behaviour, up=False)
    stable = _stabilized(desired, current, history=history, up_window=up_window, down_window=down_window, now=now)
    able = (True, "ReadyForNewScale", "recommended size matches current size")
    if stable < desired:
        why = "recent recommendations were lower than current one, applying the lowest recent recommendation"
        able = (True, "ScaleUpStabilized", why)
    elif stable > desired:
        why = "recent recommendations were higher than current one, applying the highest recent recommendation"
        able = (True, "ScaleDownStabilized", why)
    if stable > current:
        replicas, limited = _up(stable, current, most=most, behaviour=behaviour, history=history, now=now)
    elif stable < current:
        replicas, limited = _down(stable, current, least=least, behaviour=behaviour, history=history, now=now)
    else:
        replicas, limited = _bounded(stable, least, most)
    return Verdict(replicas, able, limited)


def _stabilized(
    desired: int, current: int, *, history: History, up_window: float, down_window: float, now: float
) -> int:
    """The least far-reaching of the recommendations in each direction's window."""
    longest = max(up_window, down_window)
    history.recommendations = [one for one in history.recommendations if one[0] > now - longest]
    lowest = min([desired, *(count for at, count in history.recommendations if at > now - up_window)])
    highest = max([desired, *(count for at, count in history.recommendations if at > now - down_window)])
    history.recommendations.append((now, desired))
    return min(max(current, lowest), highest)


_IN_RANGE = (False, "DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_MANY = (True, "TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW = (True, "TooFewReplicas", "the desired replica count is less than the minimum replica count")


def _bounded(replicas: int, least: int, most: int) -> tuple[int, tuple[bool, str, str]]:
    if replicas > most:
        return most, _TOO_MANY
    return (least, _TOO_FEW) if replicas < least else (replicas, _IN_RANGE)


def _up(
    wanted: int, current: int, *, most: int, behaviour: Object | None, history: History, now: float
) -> tuple[int, tuple[bool, str, str]]:
    limit = _up_limit(current, behaviour, history, now)
    bound = min(limit, most)
    if wanted <= bound:
        return wanted, _IN_RANGE
    if bound == most:
        return bound, _TOO_MANY
    reason = "ScaleUpLimit"
    return bound, (True, reason, "the desired replica count is increasing faster than the maximum scale rate")


def _down(
    wanted: int, current: int, *, least: int, behaviour: Object | None, history: History, now: float
) -> tuple[int, tuple[bool, str, str]]:
    limit = _down_limit(current, behaviour, history, now)
    bound = max(limit, least)
    if wanted >= bound:
        return wanted, _IN_RANGE
    if bound == least:
        return bound, _TOO_FEW
    reason = "ScaleDownLimit"
    return bound, (True, reason, "the desired replica count is decreasing faster than the maximum scale rate")


def _up_limit(current: int, behaviour: Object | None, history: History, now: float) -> int:
    if behaviour is None:
        return max(2 * current, 4)
    rules = behaviour.get("scaleUp") or {}
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in _policies(behaviour, up=True):
        start = current - _changed(history.ups, policy, now) + _changed(history.downs, policy, now)
        value = policy["value"]
        limits.append(start + value if policy["type"] == "Pods" else math.ceil(start * (1 + value / 100)))
    choose = min if rules.get("selectPolicy") == "Min" else max
    return max(choose(limits, default=current), current)


def _down_limit(current: int, behaviour: Object | None, history: History, now: float) -> int:
    if behaviour is None:
        return 0
    rules = behaviour.get("scaleDown") or {}
    if rules.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in _policies(behaviour, up=False):
        start = current - _changed(history.ups, policy, now) + _changed(history.downs, policy, now)
        value = policy["value"]
        limits.append(start - value if policy["type"] == "Pods" else int(start * (1 - value / 100)))
    choose = max if rules.get("selectPolicy") == "Min" else min
    return min(choose(limits, default=current), current)


def _policies(behaviour: Object | None, *, up: bool) -> Sequence[Object]:
    found: Sequence[Object] = ((behaviour or {}).get("scaleUp" if up else "scaleDown") or {}).get("policies") or ()
    if found:
        return found
    percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
    return ({"type": "Pods", "value": 4, "periodSeconds": 15}, percent) if up else (percent,)


def _window(behaviour: Object | None, *, up: bool) -> float:
    rules = (behaviour or {}).get("scaleUp" if up else "scaleDown") or {}
    seconds = rules.get("stabilizationWindowSeconds")
    if seconds is not None:
        return float(seconds)
    return 0.0 if up else _DOWN_WINDOW


def _changed(events: Sequence[tuple[float, int]], policy: Object, now: float) -> int:
    """How many pods came, or went, within a policy's period."""
    return sum(count for at, count in events if at > now - policy["periodSeconds"])
