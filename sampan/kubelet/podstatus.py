"""A pod's status as kubelet reports it, from the spec, the records and the probes' results. Pure.

Source: kubelet_pods.go (generateAPIPodStatus, getPhase, convertToAPIContainerStatuses), status/generate.go,
prober_manager.go (UpdatePodStatus). Conditions keep their lastTransitionTime while their status stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.kubelet.actions import should_restart
from sampan.kubelet.podresize import ResizeState, conditions
from sampan.kubelet.pods import (
    containers_of,
    ephemeral_containers_of,
    init_containers_of,
    is_sidecar,
    restart_policy,
)
from sampan.kubelet.runtime import ContainerState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sampan.api.object import Object
    from sampan.kubelet.records import ContainerRecord, PodRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """What a status depends on besides spec and records.

    unready, unstarted: ids of containers whose probes do not (yet) say so. waiting: container name -> (reason, message)
    of the last failure to start it. failure: (reason, message) of a pod that the kubelet itself fails. runtime: the
    scheme of container ids. start_time: RFC 3339. now: epoch seconds.
    """

    host_ips: Sequence[str]
    pod_ips: Sequence[str]
    qos: str
    start_time: str
    now: float
    runtime: str = "containerd"
    unready: Collection[str] = ()
    unstarted: Collection[str] = ()
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    failure: tuple[str, str] | None = None
    finished: bool = False
    """The pod's containers are all stopped for good."""
    resize: ResizeState = field(default_factory=ResizeState)


def pod_status(pod: Object, records: PodRecords, view: StatusView) -> Object:
    """Build the whole status stanza that the kubelet owns."""
    init = [_container(pod, c, records, view, init=True) for c in init_containers_of(pod)]
    regular = [_container(pod, c, records, view, init=False) for c in containers_of(pod)]
    ephemeral = [_ephemeral(_container(pod, c, records, view, init=False)) for c in ephemeral_containers_of(pod)]
    generation = pod["metadata"].get("generation")
    phase = "Failed" if view.failure else _phase(pod, init, regular, view)
    if phase in ("Failed", "Succeeded") and records.running():
        # The phase is final only when nothing runs any more: sidecars, and containers that are still being killed.
        before = (pod.get("status") or {}).get("phase")
        phase = before if before in ("Pending", "Running") else "Running"
    status: Object = {}
    if generation:
        status["observedGeneration"] = generation
    status["phase"] = phase
    status["conditions"] = _conditions(pod, phase, init, regular, records, view=view)
    if view.failure:
        status["reason"], status["message"] = view.failure
    if view.host_ips:
        status["hostIP"] = view.host_ips[0]
        status["hostIPs"] = [{"ip": ip} for ip in view.host_ips]
    if view.pod_ips:
        status["podIP"] = view.pod_ips[0]
        status["podIPs"] = [{"ip": ip} for ip in view.pod_ips]
    status["startTime"] = view.start_time
    if init:
        status["initContainerStatuses"] = init
    status["containerStatuses"] = regular
    status["qosClass"] = view.qos
    if ephemeral:
        status["ephemeralContainerStatuses"] = ephemeral
    return status


def _container(pod: Object, container: Object, records: PodRecords, view: StatusView, *, init: bool) -> Object:
    """Build one ContainerStatus."""
    name = container["name"]
    history = records.containers.get(name) or ()
    record = history[0] if history else None
    default = "PodInitializing" if init_containers_of(pod) else "ContainerCreating"
    status: Object = {"name": name, "state": {"waiting": {"reason": default}}, "lastState": {}, "ready": False}
    status |= {"restartCount": 0, "image": container.get("image", ""), "imageID": ""}
    if record is not None:
        status["state"] = _state(record, view)
        status["restartCount"] = record.attempt
        status["image"] = record.image or container.get("image", "")
        status["imageID"] = record.image_ref
        status["containerID"] = f"{view.runtime}://{record.id}"
        if len(history) > 1:
            status["lastState"] = _state(history[1], view)
    failed = view.waiting.get(name)
    stopped = record is None or not record.running
    if failed and stopped and not view.finished and (init or should_restart(pod, container, record)):
        if "terminated" in status["state"]:
            status["lastState"] = status["state"]
        reason, message = failed
        status["state"] = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    _readiness(container, record, status, view, init=init)
    _details(container, record, status, view)
    return status


def _ephemeral(status: Object) -> Object:
    """Ephemeral containers have no readiness."""
    del status["started"]
    return {**status, "ready": False}


def _state(record: ContainerRecord, view: StatusView) -> Object:
    if record.state is ContainerState.RUNNING:
        return {"running": {"startedAt": _time(record.started_at)}}
    if record.state is ContainerState.UNKNOWN:
        return {"waiting": {}}
    ended: Object = {"exitCode": record.exit_code}
    if record.reason:
        ended["reason"] = record.reason
    if record.message:
        ended["message"] = record.message
    ended["startedAt"] = _time(record.started_at)
    ended["finishedAt"] = _time(record.finished_at)
    ended["containerID"] = f"{view.runtime}://{record.id}"
    return {"terminated": ended}


def _time(nanoseconds: int) -> str:
    """Write a time; one that was never reached shows as the epoch, as kubelet has it."""
    return times.format_time(nanoseconds / 1e9)


def _readiness(
    container: Object, record: ContainerRecord | None, status: Object, view: StatusView, *, init: bool
) -> None:
    running = "running" in status["state"] and record is not None
    started = running and record is not None and record.id not in view.unstarted
    status["started"] = started
    if init and not is_sidecar(container):
        terminated = status["state"].get("terminated")
        status["ready"] = terminated is not None and terminated["exitCode"] == 0
    else:
        status["ready"] = started and record is not None and record.id not in view.unready


def _details(container: Object, record: ContainerRecord | None, status: Object, view: StatusView) -> None:
    resources = container.get("resources") or {}
    if record is not None and record.running:
        given: Object = view.resize.allocated.get(record.name, resources)
        if given.get("requests"):
            status["allocatedResources"] = given["requests"]
        resources = view.resize.applied.get(record.id, given)
        status["resources"] = {k: v for k, v in resources.items() if k in ("limits", "requests", "claims")}
    mounts = container.get("volumeMounts") or ()
    if mounts:
        status["volumeMounts"] = [_mount_status(mount) for mount in mounts]
    if record is not None and record.user is not None:
        uid, gid, groups = record.user
        linux: Object = {"uid": uid, "gid": gid}
        if groups:
            linux["supplementalGroups"] = list(groups)
        status["user"] = {"linux": linux}


def _mount_status(mount: Object) -> Object:
    status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        status |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return status


def _phase(pod: Object, init: Sequence[Object], regular: Sequence[Object], view: StatusView) -> str:
    if view.finished and any(not _ended(s) for s in regular):
        # Stopped before a container ever ran: it cannot have succeeded.
        return "Failed" if any(_failed(s) for s in regular) or not _any_ran(regular) else "Succeeded"
    pending_init = _pending_init(pod, init)
    if pending_init == "failed":
        return "Failed"
    waiting = [s for s in regular if "waiting" in s["state"] and "terminated" not in s["lastState"]]
    restarting = [s for s in regular if "waiting" in s["state"] and "terminated" in s["lastState"]]
    running = [s for s in regular if "running" in s["state"]]
    ended = [s for s in regular if _ended(s)]
    if pending_init == "pending" and not running and not ended and not restarting:
        return "Pending"
    if waiting and not view.finished:
        return "Pending"
    if running or restarting:
        return "Running"
    if len(ended) == len(regular):
        return _terminal_phase(pod, regular, ended, view)
    return "Pending"


def _terminal_phase(pod: Object, regular: Sequence[Object], ended: Sequence[Object], view: StatusView) -> str:
    by_name = {c["name"]: c for c in containers_of(pod)}
    if not view.finished and any(
        (by_name[s["name"]].get("restartPolicy") or restart_policy(pod)) == "Always" for s in regular
    ):
        return "Running"
    if not any(_failed(s) for s in ended):
        return "Succeeded"
    if view.finished or restart_policy(pod) == "Never":
        return "Failed"
    return "Running"


def _pending_init(pod: Object, init: Sequence[Object]) -> str:
    for container, status in zip(init_containers_of(pod), init, strict=True):
        if is_sidecar(container):
            if not status["started"] and "terminated" not in status["lastState"] and not _ended(status):
                return "pending"
            continue
        state = status["state"]
        if "terminated" in state and state["terminated"]["exitCode"] == 0:
            continue
        if "terminated" in state and restart_policy(pod) == "Never":
            return "failed"
        return "pending"
    return ""


def _ended(status: Object) -> bool:
    return "terminated" in status["state"]


def _failed(status: Object) -> bool:
    return _ended(status) and status["state"]["terminated"]["exitCode"] != 0


def _any_ran(statuses: Sequence[Object]) -> bool:
    return any(_ended(s) or "terminated" in s["lastState"] for s in statuses)


def _conditions(
    pod: Object,
    phase: str,
    init: Sequence[Object],
    regular: Sequence[Object],
    records: PodRecords,
    *,
    view: StatusView,
) -> list[Object]:
    sandbox = records.ready_sandbox
    network_up = sandbox is not None and not view.finished and (bool(view.pod_ips) or bool(sandbox.ips))
    containers_ready = _containers_ready(init, regular, phase, pod)
    found = [
        ("PodReadyToStartContainers", network_up, "", ""),
        ("Initialized", *_initialized(pod, init, regular, phase)),
        ("Ready", *_ready(pod, containers_ready)),
        ("ContainersReady", *containers_ready),
        ("PodScheduled", True, "", ""),
    ]
    if phase not in ("Succeeded", "Failed"):
        found = [*conditions(view.resize), *found]
    old = {c["type"]: c for c in pod.get("status", {}).get("conditions") or ()}
    return [
        _condition(pod, old.get(kind), kind, status=ok, why=(reason, text), view=view)
        for kind, ok, reason, text in found
    ]


def _condition(
    pod: Object, old: Object | None, kind: str, *, status: bool, why: tuple[str, str], view: StatusView
) -> Object:
    value = "True" if status else "False"
    since = old["lastTransitionTime"] if old and old["status"] == value and old.get("lastTransitionTime") else None
    condition: Object = {"type": kind}
    if pod["metadata"].get("generation"):
        condition["observedGeneration"] = pod["metadata"]["generation"]
    condition |= {"status": value, "lastProbeTime": None}
    condition["lastTransitionTime"] = since or times.format_time(view.now)
    reason, message = why
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _initialized(pod: Object, init: Sequence[Object], regular: Sequence[Object], phase: str) -> tuple[bool, str, str]:
    if any(s["started"] or _ended(s) or "terminated" in s["lastState"] for s in regular):
        incomplete: list[str] = []
    else:
        incomplete = [
            status["name"]
            for container, status in zip(init_containers_of(pod), init, strict=True)
            if not (status["started"] if is_sidecar(container) else status["ready"])
        ]
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    if incomplete:
        return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(incomplete)}]"
    return True, "", ""


def _containers_ready(
    init: Sequence[Object], regular: Sequence[Object], phase: str, pod: Object
) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    sidecars = [s for c, s in zip(init_containers_of(pod), init, strict=True) if is_sidecar(c)]
    unready = [s["name"] for s in [*sidecars, *regular] if not s["ready"]]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _ready(pod: Object, containers: tuple[bool, str, str]) -> tuple[bool, str, str]:
    if not containers[0]:
        return containers
    conditions = {c["type"]: c for c in pod.get("status", {}).get("conditions") or ()}
    messages = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in conditions:
            messages.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif conditions[kind]["status"] != "True":
            status = conditions[kind]["status"]
            messages.append(f'the status of pod readiness gate "{kind}" is not "True", but {status}')
    if messages:
        return False, "ReadinessGatesNotReady", ", ".join(messages)
    return True, "", ""
