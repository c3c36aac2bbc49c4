"""What workload controllers need to know of a pod, taken from it once per version.

A ReplicaSet of 5 000 pods looks at all of them at each sync; decoding them each time would cost more than all else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sampan.api import times
from sampan.api.object import controller_of
from sampan.client.resources import PODS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.api.object import Object
    from sampan.client.informer import SharedInformer
    from sampan.client.interface import Stored

_OWNER_INDEX = "controller-uid"
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class PodView(NamedTuple):
    """One pod. Times are epoch seconds. ready_since: None when not ready. deleting: has a deletionTimestamp."""

    key: str
    namespace: str
    name: str
    uid: str
    owner_kind: str
    owner_name: str
    owner_uid: str
    labels: Mapping[str, str]
    node: str
    phase: str
    ready: bool
    ready_since: float | None
    deleting: bool
    restarts: int
    sidecar_restarts: int
    created: float
    deletion_cost: int

    @property
    def active(self) -> bool:
        """Neither finished nor being deleted."""
        return not self.deleting and self.phase not in ("Succeeded", "Failed")

    @property
    def terminal(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    def available(self, min_ready_seconds: int, now: float) -> bool:
        """Ready for at least so long."""
        if not self.ready:
            return False
        return min_ready_seconds == 0 or (self.ready_since is not None and self.ready_since + min_ready_seconds <= now)


def view(item: Stored) -> PodView:
    """Take a pod's view."""
    pod = item.object
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    owner = controller_of(pod) or {}
    ready = condition(pod, "Ready") or {}
    is_ready = ready.get("status") == "True"
    since = ready.get("lastTransitionTime")
    sidecars = {one["name"] for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"}
    return PodView(
        key=f"{item.namespace}/{item.name}",
        namespace=item.namespace,
        name=item.name,
        uid=metadata.get("uid", ""),
        owner_kind=owner.get("kind", ""),
        owner_name=owner.get("name", ""),
        owner_uid=owner.get("uid", ""),
        labels=item.labels,
        node=spec.get("nodeName", ""),
        phase=status.get("phase", ""),
        ready=is_ready,
        ready_since=times.parse(since) if is_ready and since else None,
        deleting="deletionTimestamp" in metadata,
        restarts=_restarts(status.get("containerStatuses")),
        sidecar_restarts=_restarts(
            [one for one in status.get("initContainerStatuses") or () if one.get("name") in sidecars]
        ),
        created=times.parse(metadata["creationTimestamp"]) if metadata.get("creationTimestamp") else 0.0,
        deletion_cost=_cost(metadata.get("annotations")),
    )


class PodIndex:
    """The pods of an informer as views, by their controller."""

    def __init__(self, informer: SharedInformer) -> None:
        self._informer = informer
        self.views = informer.add_view(view)
        informer.add_index(_OWNER_INDEX, self._owner_of)

    def owned_by(self, uid: str) -> list[PodView]:
        """The pods whose controller has the uid."""
        return [self.views[f"{item.namespace}/{item.name}"] for item in self._informer.by_index(_OWNER_INDEX, uid)]

    def count(self, uid: str) -> int:
        """How many pods have the controller with the uid."""
        return self._informer.count_index(_OWNER_INDEX, uid)

    def orphans(self, namespace: str) -> list[PodView]:
        """The pods of a namespace that no controller has."""
        return self.owned_by(f"orphan:{namespace}")

    def _owner_of(self, item: Stored) -> Sequence[str]:
        pod = self.views[f"{item.namespace}/{item.name}"]
        return (pod.owner_uid or f"orphan:{pod.namespace}",)


def pod_index(informer: SharedInformer) -> PodIndex:
    """The index of the pods' informer; making it again costs nothing."""
    assert informer.gvr == PODS
    return PodIndex(informer)


def condition(obj: Object, type_: str) -> Object | None:
    """Return the condition of a type, if it is there."""
    for one in (obj.get("status") or {}).get("conditions") or ():
        if one.get("type") == type_:
            found: Object = one
            return found
    return None


def _restarts(statuses: Sequence[Object] | None) -> int:
    return max((one.get("restartCount", 0) for one in statuses or ()), default=0)


def _cost(annotations: Mapping[str, str] | None) -> int:
    text = (annotations or {}).get(_DELETION_COST)
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        return 0
