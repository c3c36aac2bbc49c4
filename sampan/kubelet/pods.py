"""What the kubelet reads from a pod again and again: names, containers, policies; the labels it writes on containers.

Label and annotation names are kubelet's (pkg/kubelet/types and kuberuntime/labels.go), so that crictl and log shippers
find what they know.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.api.object import name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sampan.api.object import Object

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
CONTAINER_HASH = "io.kubernetes.container.hash"
RESTART_COUNT = "io.kubernetes.container.restartCount"
TERMINATION_PATH = "io.kubernetes.container.terminationMessagePath"
TERMINATION_POLICY = "io.kubernetes.container.terminationMessagePolicy"
GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod"
CONTAINER_PORTS = "io.kubernetes.container.ports"

DEFAULT_GRACE_SECONDS = 30


def format_pod(pod: Object) -> str:
    """Name a pod as kubelet's messages do: ``name_namespace(uid)``."""
    return f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"


def container_hash(container: Object) -> str:
    """Hash what a container cannot change without being restarted: name and image (kubecontainer.HashContainer)."""
    value = 0x811C9DC5
    for byte in json.dumps([container["name"], container.get("image", "")], separators=(",", ":")).encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:x}"


def containers_of(pod: Object) -> Sequence[Object]:
    """Return the regular containers."""
    found: Sequence[Object] = pod["spec"].get("containers") or ()
    return found


def init_containers_of(pod: Object) -> Sequence[Object]:
    """Return the init containers, sidecars included."""
    found: Sequence[Object] = pod["spec"].get("initContainers") or ()
    return found


def ephemeral_containers_of(pod: Object) -> Sequence[Object]:
    found: Sequence[Object] = pod["spec"].get("ephemeralContainers") or ()
    return found


def all_containers(pod: Object) -> Iterator[Object]:
    """Yield init, regular and ephemeral containers in that order."""
    yield from init_containers_of(pod)
    yield from containers_of(pod)
    yield from ephemeral_containers_of(pod)


def find_container(pod: Object, name: str) -> Object | None:
    """Find a container of any sort by name."""
    return next((container for container in all_containers(pod) if container["name"] == name), None)


def is_sidecar(container: Object) -> bool:
    """Tell whether an init container is a restartable one."""
    return bool(container.get("restartPolicy") == "Always")


def restart_policy(pod: Object) -> str:
    policy: str = pod["spec"].get("restartPolicy") or "Always"
    return policy


def grace_seconds(pod: Object) -> int:
    """Tell how long the pod's processes may take to end: the deletion's own period, else the spec's."""
    meta, spec = pod["metadata"], pod["spec"]
    if "deletionTimestamp" in meta and meta.get("deletionGracePeriodSeconds") is not None:
        return int(meta["deletionGracePeriodSeconds"])
    value = spec.get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE_SECONDS if value is None else int(value)


def is_same_but_status(old: Object, new: Object) -> bool:
    """Tell whether two versions of a pod ask the kubelet for the same."""
    keys = ("labels", "annotations", "deletionTimestamp", "deletionGracePeriodSeconds")
    before, after = old["metadata"], new["metadata"]
    return old["spec"] == new["spec"] and all(before.get(key) == after.get(key) for key in keys)


def was_started(pod: Object) -> bool:
    """Tell whether the status knows of a container that was made: the pod has been running here before."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(status.get("containerID") for status in statuses)


def is_deleting(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_terminal(pod: Object) -> bool:
    """Tell whether the pod's phase can no longer change."""
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def pod_labels(pod: Object) -> dict[str, str]:
    """Build a sandbox's labels: the pod's own and kubelet's."""
    return {**(pod["metadata"].get("labels") or {}), **_identity(pod)}


def container_labels(pod: Object, container: Object) -> dict[str, str]:
    return {CONTAINER_NAME: container["name"], **_identity(pod)}


def _identity(pod: Object) -> dict[str, str]:
    return {POD_NAME: name_of(pod), POD_NAMESPACE: namespace_of(pod), POD_UID: uid_of(pod)}


def container_annotations(pod: Object, container: Object, restarts: int) -> dict[str, str]:
    """Build the annotations from which a restarted kubelet recovers what it needs to know of a container."""
    annotations = {
        CONTAINER_HASH: container_hash(container),
        RESTART_COUNT: str(restarts),
        TERMINATION_PATH: container.get("terminationMessagePath") or "",
        TERMINATION_POLICY: container.get("terminationMessagePolicy") or "File",
    }
    period = pod["spec"].get("terminationGracePeriodSeconds")
    if period is not None:
        annotations[GRACE_PERIOD] = str(period)
    if container.get("ports"):
        annotations[CONTAINER_PORTS] = json.dumps(container["ports"], separators=(",", ":"))
    return annotations


def security_value(pod: Object, container: Object, field: str) -> Any:
    """Read a security context field, the container's before the pod's."""
    own: Mapping[str, Any] = container.get("securityContext") or {}
    if own.get(field) is not None:
        return own[field]
    return (pod["spec"].get("securityContext") or {}).get(field)
