"""One simulated pod: its state, how time moves it, and the status it shows.

A record is small, since a process holds a hundred thousand of them: what the API keeps is not kept again.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from sampan.api import times

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubelet.simulated.behaviour import Behaviour

_FIRST_BACKOFF, _LAST_BACKOFF = 10.0, 300.0
_OWN = frozenset({"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"})


class State(IntEnum):
    """Where a pod is in its life. WAITING: its containers have ended and will start again."""

    PENDING = 0
    RUNNING = 1
    WAITING = 2
    DONE = 3


class SimulatedPod:
    """A pod on a simulated node. Times are epoch seconds. containers, inits: names and images."""

    __slots__ = (
        "behaviour",
        "condemned",
        "containers",
        "created",
        "finished",
        "generation",
        "grace",
        "host_ip",
        "inits",
        "ip",
        "name",
        "namespace",
        "node",
        "others",
        "ready",
        "ready_changed",
        "restart_policy",
        "restarts",
        "round",
        "seen",
        "started",
        "state",
        "uid",
    )

    def __init__(self, pod: Object, behaviour: Behaviour, *, ip: str, host_ip: str, now: float) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        self.namespace: str = metadata["namespace"]
        self.name: str = metadata["name"]
        self.uid: str = metadata["uid"]
        self.node: str = spec["nodeName"]
        self.containers = tuple((one["name"], one.get("image", "")) for one in spec["containers"])
        self.inits = tuple((one["name"], one.get("image", "")) for one in spec.get("initContainers") or ())
        self.restart_policy: str = spec.get("restartPolicy", "Always")
        self.behaviour = behaviour
        self.ip, self.host_ip = ip, host_ip
        self.state = State.PENDING
        self.ready = False
        self.restarts = 0
        self.round = 0
        self.seen = self.created = now
        self.started = self.finished = self.ready_changed = now
        self.condemned: float | None = None
        self.grace = 0.0
        self.others: tuple[Object, ...] = ()
        self.generation = 0
        self._adopt(pod)
        self.observe(pod)

    def _adopt(self, pod: Object) -> None:
        """Go on where an earlier simulator left off."""
        status = pod.get("status") or {}
        phase, statuses = status.get("phase", ""), status.get("containerStatuses") or ()
        if phase in ("Succeeded", "Failed"):
            self.state = State.DONE
        elif phase == "Running" and statuses:
            self.state = State.RUNNING
            self.restarts = statuses[0].get("restartCount", 0)
            running = (statuses[0].get("state") or {}).get("running")
            if running and running.get("startedAt"):
                self.started = times.parse(running["startedAt"])
            if status.get("startTime"):
                self.created = times.parse(status["startTime"])
            self.ip = status.get("podIP", self.ip)
            self.ready = bool(statuses[0].get("ready"))

    def observe(self, pod: Object) -> None:
        """Take what others may change: deletion, conditions that are not the kubelet's."""
        metadata = pod["metadata"]
        conditions = (pod.get("status") or {}).get("conditions") or ()
        self.others = tuple(one for one in conditions if one.get("type") not in _OWN)
        self.generation = metadata.get("generation", 0)
        if metadata.get("deletionTimestamp") and self.condemned is None:
            self.grace = float(metadata.get("deletionGracePeriodSeconds") or 0)
            self.condemned = times.parse(metadata["deletionTimestamp"]) - self.grace

    @property
    def deletion_due(self) -> float | None:
        """When a pod that is being deleted has ended."""
        if self.condemned is None:
            return None
        return self.condemned + min(self.behaviour.delete_delay, self.grace)

    def advance(self, now: float) -> tuple[bool, float | None]:
        """Move on to now. Returns whether anything is to be shown, and when to come back."""
        changed = False
        if self.state is State.PENDING:
            due = self.seen + self.behaviour.start_delay
            if now < due:
                return False, due
            self.state, self.started, changed = State.RUNNING, now, True
        while True:
            if self.state is State.DONE:
                return changed, None
            if self.state is State.WAITING:
                due = self.finished + self._back_off()
                if now < due:
                    return changed, due
                self.restarts += 1
                self.state, self.started, changed = State.RUNNING, now, True
            end = self._end()
            if end is None or now < end:
                return self._set_ready(now) or changed, self._next(now, end)
            self._finish(end)
            changed = True

    def _end(self) -> float | None:
        """When the containers end."""
        behaviour = self.behaviour
        if behaviour.run_for is None or (behaviour.crashes is not None and self.restarts >= behaviour.crashes):
            return None
        return self.started + behaviour.run_for

    def _finish(self, end: float) -> None:
        self.finished = end
        if self.ready:
            self.ready, self.ready_changed = False, end
        again = self.restart_policy == "Always" or (self.restart_policy == "OnFailure" and self.behaviour.exit_code)
        self.state = State.WAITING if again else State.DONE

    def _set_ready(self, now: float) -> bool:
        ready = self.behaviour.ready and now >= self.started + self.behaviour.ready_delay
        if ready == self.ready:
            return False
        self.ready, self.ready_changed = ready, now
        return True

    def _next(self, now: float, end: float | None) -> float | None:
        due = [] if end is None else [end]
        if not self.ready and self.behaviour.ready:
            due.append(max(now, self.started + self.behaviour.ready_delay))
        return min(due, default=None)

    def _back_off(self) -> float:
        """Seconds until containers start again: at once, then 10 s, doubled each time up to 5 minutes."""
        if not self.restarts:
            return 0.0
        doubled: float = _FIRST_BACKOFF * 2.0 ** min(self.restarts - 1, 10)
        return min(doubled, _LAST_BACKOFF)

    def status(self) -> Object:
        """The status to show, as a merge patch."""
        now = times.format_time(self.started if self.state is State.RUNNING else self.finished)
        ready_since = times.format_time(self.ready_changed)
        done = self.state is State.DONE
        failed = done and self.behaviour.exit_code != 0
        ready = "True" if self.ready else "False"
        why: Object = {"reason": "PodCompleted"} if done and not failed else {}
        if not self.ready and not why:
            names = " ".join(name for name, _ in self.containers)
            why = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{names}]"}
        since = times.format_time(self.created)
        conditions: list[Object] = [
            {"type": "PodReadyToStartContainers", "status": "False" if done else "True", "lastTransitionTime": since},
            {"type": "Initialized", "status": "True", "lastTransitionTime": since},
            {"type": "Ready", "status": ready, "lastTransitionTime": ready_since, **why},
            {"type": "ContainersReady", "status": ready, "lastTransitionTime": ready_since, **why},
            *self.others,
        ]
        return {
            "phase": ("Failed" if failed else "Succeeded") if done else "Running",
            "observedGeneration": self.generation,
            "hostIP": self.host_ip,
            "hostIPs": [{"ip": self.host_ip}],
            "podIP": self.ip,
            "podIPs": [{"ip": self.ip}],
            "startTime": since,
            "conditions": conditions,
            "initContainerStatuses": [self._initialized(name, image, since) for name, image in self.inits] or None,
            "containerStatuses": [self._container(name, image, now) for name, image in self.containers],
        }

    def _container(self, name: str, image: str, now: str) -> Object:
        ended = {
            "exitCode": self.behaviour.exit_code,
            "reason": "Error" if self.behaviour.exit_code else "Completed",
            "startedAt": times.format_time(self.started),
            "finishedAt": times.format_time(self.finished),
            "containerID": self._id(name),
        }
        last: Object = {}
        if self.state is State.RUNNING:
            state: Object = {"running": {"startedAt": now}}
            if self.restarts:
                finished = times.format_time(self.finished)
                last = {"terminated": {**ended, "startedAt": finished, "finishedAt": finished}}
        elif self.state is State.DONE:
            state = {"terminated": ended}
        else:
            message = (
                f"back-off {self._back_off():g}s restarting failed container={name} pod={self.name}_{self.namespace}"
            )
            state, last = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}, {"terminated": ended}
        return {
            "name": name,
            "image": image,
            "imageID": f"simulated://{image}",
            "containerID": self._id(name),
            "ready": self.ready,
            "started": self.state is State.RUNNING,
            "restartCount": self.restarts,
            "state": state,
            "lastState": last,
        }

    def _initialized(self, name: str, image: str, since: str) -> Object:
        ended = {"exitCode": 0, "reason": "Completed", "startedAt": since, "finishedAt": since}
        return {
            "name": name,
            "image": image,
            "imageID": f"simulated://{image}",
            "containerID": self._id(name),
            "ready": True,
            "started": False,
            "restartCount": 0,
            "state": {"terminated": {**ended, "containerID": self._id(name)}},
        }

    def _id(self, container: str) -> str:
        return f"simulated://{self.uid}/{container}"
