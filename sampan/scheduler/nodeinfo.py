"""A node as the scheduler sees it: the parsed object, and the pods on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.object import labels_of
from sampan.scheduler.podinfo import ANY_ADDRESS
from sampan.scheduler.resources import amounts

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.scheduler.podinfo import HostPort, PodInfo


class NodeInfo:
    """One node. row: its place in the table."""

    __slots__ = ("allocatable", "images", "labels", "name", "object", "pods", "ports", "row", "taints", "unschedulable")

    def __init__(self, node: Object, row: int) -> None:
        self.row = row
        self.pods: dict[str, PodInfo] = {}
        self.ports: dict[HostPort, int] = {}
        self.set_object(node)

    def set_object(self, node: Object) -> None:
        """Take a new version of the Node."""
        spec, status = node.get("spec") or {}, node.get("status") or {}
        self.object = node
        self.name: str = node["metadata"]["name"]
        self.labels = labels_of(node)
        self.taints: list[Object] = spec.get("taints") or []
        self.unschedulable: bool = spec.get("unschedulable", False)
        self.allocatable = amounts(status.get("allocatable"))
        self.images: dict[str, int] = {
            name: image.get("sizeBytes", 0) for image in status.get("images") or () for name in image.get("names") or ()
        }

    def add_ports(self, pod: PodInfo, sign: int) -> None:
        """Count a pod's host ports in (1) or out (-1)."""
        for port in pod.host_ports:
            count = self.ports.get(port, 0) + sign
            if count > 0:
                self.ports[port] = count
            else:
                self.ports.pop(port, None)

    def has_free_ports(self, wanted: tuple[HostPort, ...]) -> bool:
        """Tell whether no pod here has one of these ports, on the same address or on all of them."""
        if not self.ports:
            return True
        for ip, protocol, port in wanted:
            for used in self.ports:
                if used.port == port and used.protocol == protocol and (ANY_ADDRESS in (ip, used.ip) or ip == used.ip):
                    return False
        return True
