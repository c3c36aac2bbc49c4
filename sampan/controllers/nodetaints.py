"""Taints that follow from a node's state, and writing taints without losing those of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.client.interface import MERGE_PATCH
from sampan.client.resources import NODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sampan.api.object import Object
    from sampan.client.client import Client

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_BY_CONDITION: Mapping[tuple[str, str], str] = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}
_MANAGED = frozenset(_BY_CONDITION.values()) | {UNSCHEDULABLE}


def taints_of(node: Object) -> Sequence[Object]:
    """A node's taints; not to be changed."""
    found: Sequence[Object] = (node.get("spec") or {}).get("taints") or ()
    return found


def wanted_no_schedule(node: Object) -> set[str]:
    """The keys of the NoSchedule taints that a node's conditions and spec call for."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    found = {_BY_CONDITION.get((one["type"], one["status"]), "") for one in conditions} - {""}
    if (node.get("spec") or {}).get("unschedulable"):
        found.add(UNSCHEDULABLE)
    return found


def no_schedule_change(node: Object) -> tuple[set[str], set[str]]:
    """The keys of managed NoSchedule taints to add and to remove."""
    wanted = wanted_no_schedule(node)
    present = {one["key"] for one in taints_of(node) if one["effect"] == "NoSchedule" and one["key"] in _MANAGED}
    return wanted - present, present - wanted


def wanted_no_execute(node: Object) -> str:
    """The key of the NoExecute taint that the Ready condition calls for, "" for none."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((one["status"] for one in conditions if one["type"] == "Ready"), "Unknown")
    return {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready, "")


def has_no_execute(node: Object, key: str) -> bool:
    """Whether a node has a NoExecute taint."""
    return any(one["key"] == key and one["effect"] == "NoExecute" for one in taints_of(node))


async def change_taints(
    client: Client, node: Object, effect: str, *, add: Iterable[str], remove: Iterable[str], now: str
) -> None:
    """Add and remove taints of an effect by their keys. Raises Conflict when the node changed since it was read."""
    gone = set(remove)
    added = list(add)
    kept = [
        one
        for one in taints_of(node)
        if one["effect"] != effect or (one["key"] not in gone and one["key"] not in added)
    ]
    taints = kept + [{"key": key, "effect": effect, "timeAdded": now} for key in sorted(added)]
    metadata = node["metadata"]
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"taints": taints or None}}
    await client.resource(NODES).patch(metadata["name"], patch, content_type=MERGE_PATCH)
