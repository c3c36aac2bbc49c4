"""A pod as the scheduler sees it: parsed once when it arrives, not once a cycle.

What many pods of one controller share (tolerations, affinity, selectors) is kept as canonical JSON too, the key under
which results are reused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from sampan.scheduler.resources import CPU, MEMORY, pod_requests
from sampan.scheduler.terms import affinity_terms

if TYPE_CHECKING:
    from sampan.api.object import Object

DEFAULT_MILLI_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024
"""What a container without requests counts for in scoring, as in kube-scheduler."""

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - compared, not bound


class HostPort(NamedTuple):
    """A port of the host that a pod wants. ip: "0.0.0.0" for all."""

    ip: str
    protocol: str
    port: int


class PodInfo:
    """One version of one pod; immutable."""

    __slots__ = (
        "affinity",
        "constraints",
        "host_ports",
        "images",
        "key",
        "labels",
        "name",
        "namespace",
        "node_name",
        "node_rules",
        "nonzero",
        "object",
        "priority",
        "requests",
        "taint_rules",
        "terms",
        "tolerations",
        "uid",
    )

    def __init__(self, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        self.object = pod
        self.namespace: str = metadata.get("namespace", "")
        self.name: str = metadata["name"]
        self.key = f"{self.namespace}/{self.name}"
        self.uid: str = metadata.get("uid", "")
        self.labels: dict[str, str] = metadata.get("labels") or {}
        self.node_name: str = spec.get("nodeName", "")
        self.priority: int = spec.get("priority") or 0
        self.requests = pod_requests(pod)
        self.nonzero = _nonzero(spec, self.requests)
        self.host_ports = _host_ports(spec)
        self.images: tuple[str, ...] = tuple(
            one["image"]
            for group in ("initContainers", "containers")
            for one in spec.get(group) or ()
            if "image" in one
        )
        self.tolerations: list[Object] = spec.get("tolerations") or []
        self.affinity: Object = spec.get("affinity") or {}
        self.terms = affinity_terms(self.affinity, self.namespace)
        self.constraints: list[Object] = spec.get("topologySpreadConstraints") or []
        self.taint_rules = orjson.dumps(self.tolerations)
        self.node_rules = orjson.dumps([spec.get("nodeSelector"), self.affinity.get("nodeAffinity")])

    @property
    def is_terminating(self) -> bool:
        return "deletionTimestamp" in self.object["metadata"]


def _nonzero(spec: Object, requests: dict[str, int]) -> tuple[int, int]:
    """CPU (milli) and memory (bytes) for scoring: requests, with a default for containers that have none."""
    cpu = memory = 0
    for container in spec.get("containers") or ():
        asked = (container.get("resources") or {}).get("requests") or {}
        cpu += 0 if CPU in asked else DEFAULT_MILLI_CPU
        memory += 0 if MEMORY in asked else DEFAULT_MEMORY
    if (spec.get("resources") or {}).get("requests"):
        pod_level = spec["resources"]["requests"]
        cpu, memory = (0 if CPU in pod_level else cpu), (0 if MEMORY in pod_level else memory)
    return requests.get(CPU, 0) + cpu, requests.get(MEMORY, 0) + memory


def _host_ports(spec: Object) -> tuple[HostPort, ...]:
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    return tuple(
        HostPort(port.get("hostIP") or ANY_ADDRESS, port.get("protocol") or "TCP", port["hostPort"])
        for container in (*sidecars, *(spec.get("containers") or ()))
        for port in container.get("ports") or ()
        if port.get("hostPort", 0) > 0
    )
