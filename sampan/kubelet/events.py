"""Events as the kubelet records them: reasons, and the reference to a container of a pod.

Reasons are kubelet's (pkg/kubelet/events). The recorder itself is `sampan.runtime`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from sampan.kubelet.pods import ephemeral_containers_of, init_containers_of

if TYPE_CHECKING:
    from sampan.api.object import Object

EventType = Literal["Normal", "Warning"]


class Recorder(Protocol):
    """Records an event about an object or an object reference; never blocks, never fails."""

    def event(self, obj: Object, type_: EventType, reason: str, message: str) -> None: ...


def pod_reference(pod: Object) -> Object:
    """Build the ObjectReference of a pod."""
    meta = pod["metadata"]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
        "resourceVersion": meta.get("resourceVersion", ""),
    }


def container_reference(pod: Object, name: str) -> Object:
    """Build the ObjectReference of one container: the pod's with a fieldPath."""
    field = "spec.containers"
    if any(c["name"] == name for c in init_containers_of(pod)):
        field = "spec.initContainers"
    elif any(c["name"] == name for c in ephemeral_containers_of(pod)):
        field = "spec.ephemeralContainers"
    return {**pod_reference(pod), "fieldPath": f"{field}{{{name}}}"}
