"""Rows of pods: the status that people look at, condensed from conditions and container states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import times
from sampan.api.tables.text import NONE, age, human_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.api.object import Object

_LOST = "NodeLost"


def pod(obj: Object, now: float) -> list[Any]:
    """Name, ready, status, restarts, age, IP, node, nominated node, readiness gates."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    total = len(spec.get("containers") or ()) + len(sidecars)
    reason, ready, restarts, last = _summary(obj, spec, status, {one.get("name", "") for one in sidecars})
    shown = str(restarts)
    if restarts and last is not None:
        shown = f"{restarts} ({human_duration(now - last)} ago)"
    ips = status.get("podIPs") or ()
    return [
        obj["metadata"].get("name", ""),
        f"{ready}/{total}",
        reason,
        shown,
        age(obj, now),
        (ips[0].get("ip", "") if ips else "") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, status),
    ]


def _gates(spec: Object, status: Object) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return NONE
    true = {one.get("type") for one in status.get("conditions") or () if one.get("status") == "True"}
    met = sum(gate.get("conditionType") in true for gate in gates)
    return f"{met}/{len(gates)}"


def _summary(obj: Object, spec: Object, status: Object, sidecars: set[str]) -> tuple[str, int, int, float | None]:
    reason = status.get("reason") or status.get("phase", "")
    for one in status.get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    initializing, init_reason, init = _initializing(spec, status, sidecars)
    if initializing:
        reason = init_reason
    ready, restarts, last = init
    if not initializing or _is_initialized(status):
        own, ready_containers, own_restarts, own_last = _running(status, reason)
        reason = own
        # Restarts of ordinary init containers no longer count once they are done.
        ready, restarts, last = _sidecar_counts(status, sidecars)
        ready += ready_containers
        restarts += own_restarts
        last = max((one for one in (last, own_last) if one is not None), default=None)
    deleted = obj["metadata"].get("deletionTimestamp")
    if deleted and status.get("reason") == _LOST:
        reason = "Unknown"
    elif deleted and status.get("phase") not in ("Failed", "Succeeded"):
        reason = "Terminating"
    return reason, ready, restarts, last


def _is_initialized(status: Object) -> bool:
    return any(
        one.get("type") == "Initialized" and one.get("status") == "True" for one in status.get("conditions") or ()
    )


def _last_end(one: Object) -> float | None:
    finished = ((one.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
    return times.parse(finished) if finished else None


def _latest(items: Iterable[Object]) -> float | None:
    return max((end for one in items if (end := _last_end(one)) is not None), default=None)


def _sidecar_counts(status: Object, sidecars: set[str]) -> tuple[int, int, float | None]:
    items = [one for one in status.get("initContainerStatuses") or () if one.get("name") in sidecars]
    ready = sum(bool(one.get("started")) and bool(one.get("ready")) for one in items)
    return ready, sum(one.get("restartCount", 0) for one in items), _latest(items)


def _initializing(spec: Object, status: Object, sidecars: set[str]) -> tuple[bool, str, tuple[int, int, float | None]]:
    """Tell whether init containers are under way, what to say of it, and their ready count, restarts, last end."""
    statuses = status.get("initContainerStatuses") or []
    ready, restarts = 0, 0
    seen: list[Object] = []
    for position, one in enumerate(statuses):
        restarts += one.get("restartCount", 0)
        seen.append(one)
        state = one.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if one.get("name") in sidecars and one.get("started"):
            ready += bool(one.get("ready"))
            continue
        if terminated is not None:
            text = "Init:" + _ended(terminated)
        elif waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
            text = f"Init:{waiting['reason']}"
        else:
            text = f"Init:{position}/{len(spec.get('initContainers') or ())}"
        return True, text, (ready, restarts, _latest(seen))
    return False, "", (ready, restarts, _latest(seen))


def _ended(terminated: Object) -> str:
    reason = terminated.get("reason", "")
    if reason:
        return str(reason)
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _running(status: Object, reason: str) -> tuple[str, int, int, float | None]:
    """Tell what containers make of the reason, how many are ready, how often they restarted, when last."""
    statuses = status.get("containerStatuses") or []
    ready, has_running = 0, False
    for one in reversed(statuses):
        state = one.get("state") or {}
        waiting, terminated = state.get("waiting"), state.get("terminated")
        if waiting is not None and waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = _ended(terminated)
        elif one.get("ready") and "running" in state:
            has_running = True
            ready += 1
    if reason == "Completed" and has_running:
        is_ready = any(
            one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or ()
        )
        reason = "Running" if is_ready else "NotReady"
    return reason, ready, sum(one.get("restartCount", 0) for one in statuses), _latest(statuses)
