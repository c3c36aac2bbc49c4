"""What the scheduler writes about pods that it cannot place: their PodScheduled condition, and evictions for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import APIStatusError, NotFound
from sampan.base.log import logger
from sampan.client.resources import PODS

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.client import Client
    from sampan.runtime.events import EventRecorder
    from sampan.scheduler.podinfo import PodInfo

log = logger("scheduler")


def condition_patch(pod: Object, reason: str, message: str, now: float, nominated: str | None) -> Object | None:
    """Build the status patch that says why a pod is not placed; None when its status says it already.

    nominated: the node where room is being made, "" to withdraw a nomination, None to leave it.
    """
    status = pod.get("status") or {}
    current = _condition(pod, "PodScheduled")
    fresh: Object = {
        "type": "PodScheduled",
        "status": "False",
        "reason": reason,
        "message": message,
        **_generation(pod),
    }
    patch: Object = {}
    if any(current.get(key) != value for key, value in fresh.items()):
        flipped = current.get("status") != "False"
        fresh["lastTransitionTime"] = times.format_time(now) if flipped else current.get("lastTransitionTime")
        fresh["lastProbeTime"] = None
        patch["conditions"] = [fresh]
    if nominated is not None and nominated != status.get("nominatedNodeName", ""):
        patch["nominatedNodeName"] = nominated or None
    return {"status": patch} if patch else None


async def evict(client: Client, recorder: EventRecorder, pod: PodInfo, victim: Object, node: str) -> None:
    """Evict a pod for one of higher priority; one that is gone is no error, other failures are logged."""
    metadata = victim["metadata"]
    scheduler = pod.object["spec"].get("schedulerName", "default-scheduler")
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": f"{scheduler}: preempting to accommodate a higher priority pod",
        **_generation(victim),
    }
    pods = client.resource(PODS, metadata["namespace"])
    try:
        if _condition(victim, "DisruptionTarget").get("status") != "True":
            await pods.patch_status(metadata["name"], {"status": {"conditions": [condition]}})
        await pods.delete(metadata["name"])
    except NotFound:
        return
    except (APIStatusError, OSError) as error:
        log.warning("Pod not preempted", pod=metadata["name"], preemptor=pod.key, error=error)
        return
    recorder.event(victim, "Normal", "Preempted", f"Preempted by pod {pod.uid} on node {node}", action="Preempting")


def _generation(pod: Object) -> Object:
    generation = pod["metadata"].get("generation")
    return {"observedGeneration": generation} if generation else {}


def _condition(pod: Object, type_: str) -> Object:
    for one in (pod.get("status") or {}).get("conditions") or ():
        if one["type"] == type_:
            found: Object = one
            return found
    return {}
