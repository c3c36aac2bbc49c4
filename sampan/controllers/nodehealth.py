"""What the node lifecycle controller knows of nodes, and how fast it may taint them, per zone.

The rates are kube-controller-manager's: 0.1 nodes a second; in a zone where more than 55 % (and at least 3) of the
nodes are down 0.01, or none at all in a small zone; none anywhere while all zones are entirely down.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from sampan.api import times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object
    from sampan.base.clock import Clock
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerOptions

_WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


class NodeView(NamedTuple):
    """What monitoring needs of a node, taken once per version: thousands of nodes are looked at every 5 seconds.

    ready: the Ready condition's status, "" when it has none. reported: the same if the node itself said so.
    """

    uid: str
    ready: str
    reported: str
    beat: str


def node_view(item: Stored) -> NodeView:
    """Take a node's view."""
    node = item.object
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready: Object = next((one for one in conditions if one["type"] == "Ready"), {})
    status = ready.get("status", "")
    ours = ready.get("reason") in ("NodeStatusUnknown", "NodeStatusNeverUpdated")
    return NodeView(node["metadata"]["uid"], status, "" if ours else status, ready.get("lastHeartbeatTime", ""))


def lease_view(item: Stored) -> str:
    """When a Lease was renewed."""
    renewed: str = (item.object.get("spec") or {}).get("renewTime") or ""
    return renewed


class Health(Enum):
    """A Ready condition's status."""

    READY = "True"
    NOT_READY = "False"
    UNKNOWN = "Unknown"

    @classmethod
    def of(cls, status: str) -> Health:
        return cls(status) if status in ("True", "False") else cls.UNKNOWN


@dataclass(slots=True)
class NodeHealth:
    """One node's heartbeat. seen: our clock when it last gave a sign of life."""

    uid: str
    seen: float
    heartbeat: tuple[str, str, str] = ("", "", "")
    state: Health | None = None
    pods_marked: bool = True

    def observe(self, node: NodeView, renewed: str, now: float) -> None:
        """A sign of life is a renewed Lease, or a Ready condition that the node changed or repeated."""
        heartbeat = (renewed, node.beat, node.reported or self.heartbeat[2])
        if heartbeat != self.heartbeat:
            self.heartbeat = heartbeat
            self.seen = now


class ZoneLimits:
    """Token buckets, one a zone, filled at the rate that the zone's state allows."""

    def __init__(self, options: ControllerOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._rates: dict[str, float] = {}
        self._tokens: dict[str, tuple[float, float]] = {}
        self._all_down = False

    def update(self, zones: Mapping[str, str], health: Mapping[str, NodeHealth]) -> bool:
        """Judge the zones anew; return whether all were down before and are not any more."""
        members: dict[str, list[bool]] = {}
        for node, zone in zones.items():
            members.setdefault(zone, []).append(health[node].state is Health.READY)
        all_down = bool(members) and not any(any(ready) for ready in members.values())
        self._rates = {zone: 0.0 if all_down else self._rate(ready) for zone, ready in members.items()}
        recovered, self._all_down = self._all_down and not all_down, all_down
        return recovered

    def _rate(self, ready: list[bool]) -> float:
        options = self._options
        down = len(ready) - sum(ready)
        if down == len(ready) and down > 0:
            return options.node_eviction_rate
        if down > 2 and down / len(ready) >= options.unhealthy_zone_threshold:
            large = len(ready) > options.large_cluster_size_threshold
            return options.secondary_node_eviction_rate if large else 0.0
        return options.node_eviction_rate

    def allow(self, zone: str) -> bool:
        """Take one node's token; the bucket holds one."""
        rate, now = self._rates.get(zone, 0.0), self._clock.monotonic()
        if rate <= 0:
            return False
        tokens, filled = self._tokens.get(zone, (1.0, now))
        tokens = min(1.0, tokens + (now - filled) * rate)
        self._tokens[zone] = (tokens - 1.0 if tokens >= 1.0 else tokens, now)
        return tokens >= 1.0


def zone_of(item: Stored) -> str:
    """A node's zone: region and zone, as failure domains are told apart."""
    labels = item.labels
    region, zone = labels.get("topology.kubernetes.io/region", ""), labels.get("topology.kubernetes.io/zone", "")
    return f"{region}:{zone}" if region or zone else ""


def mark_unknown(node: Object, now: float) -> bool:
    """Set the conditions of a silent node to Unknown; return whether any changed."""
    stamp = times.format_time(now)
    conditions = node.setdefault("status", {}).setdefault("conditions", [])
    changed = False
    for type_ in _WATCHED:
        current = next((one for one in conditions if one["type"] == type_), None)
        if current is None:
            conditions.append(
                {
                    "type": type_,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": node["metadata"].get("creationTimestamp", stamp),
                    "lastTransitionTime": stamp,
                }
            )
        elif current["status"] != "Unknown":
            current.update(
                status="Unknown",
                reason="NodeStatusUnknown",
                message="Kubelet stopped posting node status.",
                lastTransitionTime=stamp,
            )
        else:
            continue
        changed = True
    return changed
