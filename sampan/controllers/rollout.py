"""The arithmetic of a Deployment's rollout: how many pods which ReplicaSet should have, and what the status says.

Pure functions over objects; behaviour: kube-controller-manager's pkg/controller/deployment/util.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.intstr import scaled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.object import Object

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
_NO_DEADLINE = 2**31 - 1


def wanted(owner: Object) -> int:
    """spec.replicas of a Deployment or ReplicaSet."""
    replicas: int = owner["spec"].get("replicas", 1)
    return replicas


def counted(replica_set: Object, field: str) -> int:
    """One of a ReplicaSet's status counts."""
    count: int = (replica_set.get("status") or {}).get(field, 0)
    return count


def total_wanted(replica_sets: Iterable[Object]) -> int:
    return sum(wanted(one) for one in replica_sets)


def total_counted(replica_sets: Iterable[Object], field: str) -> int:
    return sum(counted(one, field) for one in replica_sets)


def is_rolling(deployment: Object) -> bool:
    """Whether pods are replaced step by step."""
    return (deployment["spec"].get("strategy") or {}).get("type") == "RollingUpdate"


def _fenceposts(deployment: Object) -> tuple[int, int]:
    """MaxSurge (rounded up) and maxUnavailable (rounded down); both 0 would stand still, so then one may be missing."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    replicas = wanted(deployment)
    surge = scaled(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = scaled(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    return (0, 1) if surge == 0 and unavailable == 0 else (surge, unavailable)


def max_surge(deployment: Object) -> int:
    return _fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    if not is_rolling(deployment) or wanted(deployment) == 0:
        return 0
    return min(_fenceposts(deployment)[1], wanted(deployment))


def new_size(deployment: Object, everything: Iterable[Object], newest: Object) -> int:
    """How many pods the newest ReplicaSet may have now."""
    replicas = wanted(deployment)
    if not is_rolling(deployment):
        return replicas
    room = replicas + max_surge(deployment) - total_wanted(everything)
    if room <= 0:
        return wanted(newest)
    return wanted(newest) + min(room, replicas - wanted(newest))


def proportional_sizes(deployment: Object, active: Sequence[Object]) -> dict[str, int]:
    """Spread a scaling of a Deployment in the middle of a rollout over its ReplicaSets, by their sizes."""
    replicas = wanted(deployment)
    allowed = replicas + max_surge(deployment) if replicas > 0 else 0
    to_add = allowed - total_wanted(active)
    if to_add > 0:
        ordered = sorted(active, key=lambda one: (-wanted(one), _negated(one["metadata"]["creationTimestamp"])))
    else:
        ordered = sorted(active, key=lambda one: (-wanted(one), one["metadata"]["creationTimestamp"]))
    sizes: dict[str, int] = {}
    added = 0
    for one in ordered:
        share = _share(deployment, one, to_add, added) if to_add else 0
        sizes[one["metadata"]["name"]] = wanted(one) + share
        added += share
    if ordered and to_add:
        first = ordered[0]["metadata"]["name"]
        sizes[first] = max(sizes[first] + to_add - added, 0)
    return sizes


def _negated(stamp: str) -> tuple[int, ...]:
    return tuple(-ord(char) for char in stamp)


def _share(deployment: Object, replica_set: Object, to_add: int, added: int) -> int:
    if wanted(replica_set) == 0 or to_add == added:
        return 0
    fraction, allowed = _fraction(deployment, replica_set), to_add - added
    return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)


def _fraction(deployment: Object, replica_set: Object) -> int:
    size = wanted(replica_set)
    if wanted(deployment) == 0:
        return -size
    annotations = replica_set["metadata"].get("annotations") or {}
    text = annotations.get(MAX_REPLICAS, "")
    before = int(text) if text.isdecimal() else (deployment.get("status") or {}).get("replicas", 0)
    if before == 0:
        return 0
    exact = size * (wanted(deployment) + max_surge(deployment)) / before
    return math.floor(exact + 0.5) - size


def revision(replica_set: Object) -> int:
    """A ReplicaSet's revision, 0 for none."""
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def progress_deadline(deployment: Object) -> int | None:
    """Seconds without progress that are too many; None for no limit."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds in (None, _NO_DEADLINE) else int(seconds)


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether all pods are of the newest template and available."""
    replicas = wanted(deployment)
    return bool(
        status.get("updatedReplicas", 0) == replicas
        and status.get("replicas", 0) == replicas
        and status.get("availableReplicas", 0) == replicas
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def has_progressed(deployment: Object, status: Object) -> bool:
    """Whether the new status is nearer to the goal than the old one."""
    old = deployment.get("status") or {}
    old_left = old.get("replicas", 0) - old.get("updatedReplicas", 0)
    new_left = status.get("replicas", 0) - status.get("updatedReplicas", 0)
    return bool(
        status.get("updatedReplicas", 0) > old.get("updatedReplicas", 0)
        or new_left < old_left
        or status.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or status.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )


def has_timed_out(deployment: Object, status: Object, now: float) -> bool:
    """Whether the rollout made no progress for too long."""
    deadline = progress_deadline(deployment)
    current = get_condition(status, "Progressing")
    if deadline is None or current is None or current["reason"] == "NewReplicaSetAvailable":
        return False
    if current["reason"] == "ProgressDeadlineExceeded":
        return True
    return times.parse(current["lastUpdateTime"]) + deadline < now


def get_condition(status: Object, type_: str) -> Object | None:
    """Return a status's condition of a type."""
    return next((one for one in status.get("conditions") or () if one["type"] == type_), None)


def set_condition(status: Object, type_: str, value: str, reason: str, message: str, *, now: float) -> bool:
    """Set a condition unless it says so already; return whether the status changed."""
    current = get_condition(status, type_)
    if current is not None and (current["status"], current["reason"]) == (value, reason):
        return False
    stamp = times.format_time(now)
    transition = current["lastTransitionTime"] if current is not None and current["status"] == value else stamp
    remove_condition(status, type_)
    condition = {
        "type": type_,
        "status": value,
        "lastUpdateTime": stamp,
        "lastTransitionTime": transition,
        "reason": reason,
        "message": message,
    }
    status["conditions"] = [*(status.get("conditions") or ()), condition]
    return True


def remove_condition(status: Object, type_: str) -> None:
    """Remove a condition."""
    if kept := [one for one in status.get("conditions") or () if one["type"] != type_]:
        status["conditions"] = kept
    else:
        status.pop("conditions", None)


def calculate_status(deployment: Object, everything: Sequence[Object], newest: Object | None, now: float) -> Object:
    """Compute the status, conditions of progress aside."""
    available = total_counted(everything, "availableReplicas")
    old = deployment.get("status") or {}
    status: Object = {"observedGeneration": deployment["metadata"].get("generation", 0)}
    terminating = [one["status"]["terminatingReplicas"] for one in everything if _counts_terminating(one)]
    counts = {
        "replicas": total_counted(everything, "replicas"),
        "updatedReplicas": counted(newest, "replicas") if newest is not None else 0,
        "readyReplicas": total_counted(everything, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(total_wanted(everything) - available, 0),
    }
    status.update({key: value for key, value in counts.items() if value})
    if terminating or not everything:
        status["terminatingReplicas"] = sum(terminating)
    if "collisionCount" in old:
        status["collisionCount"] = old["collisionCount"]
    if old.get("conditions"):
        status["conditions"] = list(old["conditions"])
    if available >= wanted(deployment) - max_unavailable(deployment):
        message = "Deployment has minimum availability."
        set_condition(status, "Available", "True", "MinimumReplicasAvailable", message, now=now)
    else:
        message = "Deployment does not have minimum availability."
        set_condition(status, "Available", "False", "MinimumReplicasUnavailable", message, now=now)
    return status


def _counts_terminating(replica_set: Object) -> bool:
    return (replica_set.get("status") or {}).get("terminatingReplicas") is not None
