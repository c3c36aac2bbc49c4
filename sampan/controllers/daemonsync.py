"""What one DaemonSet lacks and has too much of, node by node. Pure: reads caches, plans, writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.intstr import scaled
from sampan.api.pods import is_available, is_ready, is_terminating, phase_of
from sampan.controllers.daemonpods import REVISION_LABEL, fits, target_node
from sampan.runtime import DONE, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.client.informer import SharedInformer


class DaemonSync:
    """One round. digest: the newest revision's hash. succeeded: pods that ended well and are to be replaced."""

    def __init__(
        self, owner: Object, digest: str, pods: Sequence[Object], nodes: SharedInformer, *, now: float
    ) -> None:
        self._owner = owner
        self._digest = digest
        self._now = now
        self._min_ready: int = owner["spec"].get("minReadySeconds", 0)
        self.pods = pods
        self.succeeded: list[Object] = []
        self._by_node: dict[str, list[Object]] = {}
        for pod in sorted(pods, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"])):
            self._by_node.setdefault(target_node(pod), []).append(pod)
        self._fits = {item.name: fits(owner, item.object) for item in nodes.list()}
        rolling = (owner["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
        desired = sum(run for run, _ in self._fits.values())
        self._max_surge = scaled(rolling.get("maxSurge", 0), desired, round_up=True)
        self._max_unavailable = scaled(rolling.get("maxUnavailable", 1), desired, round_up=True)
        if not self._max_surge and not self._max_unavailable:
            self._max_unavailable = 1  # percentages of few nodes; standing still is nobody's wish

    def node_of(self, pod: Object) -> str:
        """The node that a pod is on or meant for."""
        return target_node(pod)

    def plan(self) -> tuple[list[str], list[Object], list[Object]]:
        """Return nodes that lack a pod, pods that are too many, and pods that failed."""
        missing: list[str] = []
        surplus: list[Object] = []
        failed: list[Object] = []
        for node, (should_run, may_stay) in self._fits.items():
            pods = self._by_node.get(node, [])
            if should_run and not pods:
                missing.append(node)
            elif may_stay:
                surplus.extend(self._sort_out(pods, failed))
            else:
                surplus.extend(pod for pod in pods if not is_terminating(pod))
        for node, pods in self._by_node.items():
            if node not in self._fits and node:  # the node is gone: its pods can never run
                surplus.extend(pod for pod in pods if not is_terminating(pod) and not pod["spec"].get("nodeName"))
        return sorted(missing), surplus, failed

    def _sort_out(self, pods: Sequence[Object], failed: list[Object]) -> list[Object]:
        """Return what is too much on a node that may have a pod."""
        running = []
        for pod in pods:
            if is_terminating(pod):
                continue
            if phase_of(pod) == "Failed":
                failed.append(pod)
            elif phase_of(pod) == "Succeeded":
                self.succeeded.append(pod)
            else:
                running.append(pod)
        if len(running) <= 1:
            return []
        if not self._max_surge:
            return running[1:]
        newest = next((pod for pod in running if self._is_new(pod)), None)
        oldest = next((pod for pod in running if not self._is_new(pod)), None)
        surplus = [pod for pod in running if pod is not newest and pod is not oldest]
        if newest is not None and oldest is not None and self._is_available(newest):
            surplus.append(oldest)
        return surplus

    def plan_update(self) -> tuple[list[str], list[Object]]:
        """Return nodes that get an additional new pod, and old pods that are to go now."""
        return self._plan_surge() if self._max_surge else ([], self._plan_replacement())

    def _plan_replacement(self) -> list[Object]:
        unavailable = 0
        broken: list[Object] = []
        candidates: list[Object] = []
        for node, (should_run, _) in self._fits.items():
            if not should_run:
                continue
            newest, oldest, clear = self._versions(node)
            if not clear or (newest is None) == (oldest is None):
                unavailable += 1  # none, or both: something is under way here
            elif newest is not None:
                unavailable += not self._is_available(newest)
            elif oldest is not None and not self._is_available(oldest):
                broken.append(oldest)
                unavailable += 1
            elif oldest is not None:
                candidates.append(oldest)
        room = max(self._max_unavailable - unavailable, 0)
        return [*broken, *candidates[:room]]

    def _plan_surge(self) -> tuple[list[str], list[Object]]:
        surging = 0
        broken: list[str] = []
        candidates: list[str] = []
        done: list[Object] = []
        for node, (should_run, _) in self._fits.items():
            if not should_run:
                continue
            newest, oldest, clear = self._versions(node)
            if not clear:
                surging += 1
            elif oldest is None:
                continue
            elif newest is None:
                (candidates if self._is_available(oldest) else broken).append(node)
            elif self._is_available(newest):
                done.append(oldest)
            else:
                surging += 1
        room = max(self._max_surge - surging, 0)
        return [*broken, *candidates[:room]], done

    def _versions(self, node: str) -> tuple[Object | None, Object | None, bool]:
        """The node's live pod of the newest revision and of an older one; False when there are several of a kind."""
        newest: Object | None = None
        oldest: Object | None = None
        for pod in self._by_node.get(node, ()):
            if is_terminating(pod):
                continue
            if self._is_new(pod):
                if newest is not None:
                    return None, None, False
                newest = pod
            else:
                if oldest is not None:
                    return None, None, False
                oldest = pod
        return newest, oldest, True

    def _is_new(self, pod: Object) -> bool:
        return bool((pod["metadata"].get("labels") or {}).get(REVISION_LABEL) == self._digest)

    def _is_available(self, pod: Object) -> bool:
        return is_available(pod, self._min_ready, self._now)

    def status(self, collisions: int | None) -> Object:
        """Compute the status from the pods that the caches show."""
        desired = current = misplaced = ready = updated = available = 0
        for node, (should_run, _) in self._fits.items():
            pods = self._by_node.get(node, [])
            if not should_run:
                misplaced += bool(pods)
                continue
            desired += 1
            if pods:
                current += 1
                ready += is_ready(pods[0])
                available += self._is_available(pods[0])
                updated += self._is_new(pods[0])
        status: Object = {
            "currentNumberScheduled": current,
            "numberMisscheduled": misplaced,
            "desiredNumberScheduled": desired,
            "numberReady": ready,
            "observedGeneration": self._owner["metadata"].get("generation", 0),
        }
        more = {
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
            "numberUnavailable": desired - available,
            "collisionCount": collisions,
        }
        status.update({key: value for key, value in more.items() if value})
        self._waits = ready != available
        return status

    def next(self) -> Result:
        """Come back when ready pods become available."""
        return Result(requeue_after=float(self._min_ready)) if self._min_ready and self._waits else DONE
