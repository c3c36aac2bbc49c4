"""Writing a pod's status: one strategic merge patch with what differs from what the API holds.

A patch, not an update: the scheduler, controllers and users may write other conditions at the same time. Lists that the
API keeps whole (container statuses) are sent whole; conditions merge by type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object

_OWNED = (
    "observedGeneration",
    "phase",
    "reason",
    "message",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "initContainerStatuses",
    "containerStatuses",
    "qosClass",
    "ephemeralContainerStatuses",
)
_MERGED_BY_IP = ("hostIPs", "podIPs")
TEMPORARY_CONDITIONS = ("PodResizePending", "PodResizeInProgress")
"""Conditions of the kubelet that are there only while they hold."""

_ABSENT_ZEROS = {"lastProbeTime": None}


def status_patch(uid: str, old: Mapping[str, object], new: Object) -> Object | None:
    """Build the patch that turns old into new; None when nothing differs. uid: the pod's, as a precondition."""
    status: Object = {}
    for field in _OWNED:
        before, after = old.get(field), new.get(field)
        if before == after:
            continue
        if field in _MERGED_BY_IP and before and after:
            # Merged by address, so an address that is gone has to be said to be replaced.
            status[field] = [*after, {"$patch": "replace"}]
        else:
            status[field] = after
    conditions = _conditions(old.get("conditions"), new["conditions"])
    if conditions:
        status["conditions"] = conditions
        known = [c["type"] for c in new["conditions"]]
        others = [
            c["type"]
            for c in _as_list(old.get("conditions"))
            if c["type"] not in known and c["type"] not in TEMPORARY_CONDITIONS
        ]
        status["$setElementOrder/conditions"] = [{"type": kind} for kind in [*known, *others]]
    if not status:
        return None
    return {"metadata": {"uid": uid}, "status": status}


def _as_list(conditions: object) -> list[Object]:
    return conditions if isinstance(conditions, list) else []


def _conditions(old: object, new: list[Object]) -> list[Object]:
    """List the conditions to send: those that differ, with null for fields that go."""
    before = {c["type"]: c for c in _as_list(old)}
    changed = []
    for condition in new:
        known = before.get(condition["type"])
        if known is None:
            changed.append(condition)
            continue
        if {**_ABSENT_ZEROS, **known} == condition:
            continue
        changed.append({**{key: None for key in known if key not in condition}, **condition})
    here = {c["type"] for c in new}
    gone = [kind for kind in TEMPORARY_CONDITIONS if kind in before and kind not in here]
    return changed + [{"type": kind, "$patch": "delete"} for kind in gone]
