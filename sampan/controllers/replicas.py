"""The rules of replicated pods that ReplicaSet and ReplicationController share: ranking for scale-down, status."""

from __future__ import annotations

import math
from functools import cmp_to_key
from typing import TYPE_CHECKING

from sampan.api.times import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object
    from sampan.client.lister import Matcher
    from sampan.controllers.podview import PodView

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def pods_to_delete(pods: Sequence[PodView], related: Sequence[PodView], count: int, now: float) -> list[PodView]:
    """Choose the pods that a scale-down costs least, in Kubernetes' order.

    Unassigned before assigned, pending before running, not ready before ready, lower deletion cost, more related pods
    on the same node, ready for a shorter time (by magnitude), more restarts, younger. related: active pods of all
    owners of the same kind under the same parent.
    """
    if count >= len(pods):
        return list(pods)
    on_node: dict[str, int] = {}
    for pod in related:
        if pod.active:
            on_node[pod.node] = on_node.get(pod.node, 0) + 1

    def compare(a: PodView, b: PodView) -> int:
        return _compare(a, b, on_node, now)

    return sorted(pods, key=cmp_to_key(compare))[:count]


def _compare(a: PodView, b: PodView, on_node: Mapping[str, int], now: float) -> int:
    if a.node != b.node and not (a.node and b.node):
        return -1 if not a.node else 1
    for first, second in (
        (_PHASES.get(a.phase, 0), _PHASES.get(b.phase, 0)),
        (a.ready, b.ready),
        (a.deletion_cost, b.deletion_cost),
        (-on_node.get(a.node, 0), -on_node.get(b.node, 0)),
    ):
        if first != second:
            return -1 if first < second else 1
    if a.ready and b.ready and a.ready_since != b.ready_since:
        return _by_age(a, b, a.ready_since, b.ready_since, now)
    for first, second in ((-a.restarts, -b.restarts), (-a.sidecar_restarts, -b.sidecar_restarts)):
        if first != second:
            return -1 if first < second else 1
    if a.created != b.created:
        return _by_age(a, b, a.created, b.created, now)
    return 0


def _by_age(a: PodView, b: PodView, since_a: float | None, since_b: float | None, now: float) -> int:
    """Younger first, but ages of the same magnitude count as equal and the uid decides: it spreads the victims."""
    if not since_a or not since_b:
        return -1 if not since_a else 1
    difference = _magnitude(now - since_a) - _magnitude(now - since_b)
    if difference == 0:
        return -1 if a.uid < b.uid else 1
    return difference


def _magnitude(seconds: float) -> int:
    return -1 if seconds <= 0 else int(math.log2(seconds * 1e9))


def replica_status(
    owner: Object,
    active: Sequence[PodView],
    template_labels: Matcher,
    *,
    terminating: int | None,
    failure: tuple[str, str] | None,
    now: float,
) -> Object:
    """Compute the status of a ReplicaSet or ReplicationController.

    terminating: for kinds with ``terminatingReplicas``. failure: reason and message of a failed creation or deletion.
    """
    min_ready = owner["spec"].get("minReadySeconds", 0)
    counts = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(template_labels.matches(pod.labels) for pod in active),
        "readyReplicas": sum(pod.ready for pod in active),
        "availableReplicas": sum(pod.available(min_ready, now) for pod in active),
    }
    status: Object = {key: value for key, value in counts.items() if value or key == "replicas"}
    if terminating is not None:
        status["terminatingReplicas"] = terminating
    if generation := owner["metadata"].get("generation"):
        status["observedGeneration"] = generation
    if conditions := _conditions(owner, failure, now):
        status["conditions"] = conditions
    return status


def _conditions(owner: Object, failure: tuple[str, str] | None, now: float) -> list[Object]:
    current: list[Object] = list((owner.get("status") or {}).get("conditions") or ())
    others = [one for one in current if one["type"] != "ReplicaFailure"]
    has = len(others) != len(current)
    if failure is None:
        return others
    if has:
        return current
    reason, message = failure
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "lastTransitionTime": format_time(now),
        "reason": reason,
        "message": message,
    }
    return [*others, condition]
