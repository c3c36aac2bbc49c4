"""One round over one StatefulSet: which pods to make, mend and remove, in which order. See `statefulset`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api.errors import APIStatusError, NotFound
from sampan.api.object import name_of, namespace_of, uid_of
from sampan.api.pods import is_available, is_ready, is_terminating, phase_of
from sampan.base.errors import SampanError
from sampan.client.item import copy_object
from sampan.client.resources import PERSISTENTVOLUMECLAIMS, PODS
from sampan.controllers.controllerrevisions import template_of
from sampan.controllers.podcontrol import is_namespace_terminating
from sampan.controllers.statefulpods import (
    claim_owners,
    claims_of,
    has_identity,
    make_pod,
    ordinal_of,
    revision_of,
    set_identity,
    set_storage,
    start_ordinal,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.client.client import Client
    from sampan.client.informer import SharedInformer
    from sampan.controllers.controllerrevisions import Revisions
    from sampan.runtime import EventRecorder


class ClaimGoneError(SampanError):
    """A claim of the pod is being deleted; the pod waits for its end."""


class StatefulSync:
    """One round. status: what is to be written, also when the round failed."""

    def __init__(
        self,
        client: Client,
        recorder: EventRecorder,
        *,
        claims: SharedInformer,
        owner: Object,
        pods: Sequence[Object],
        revisions: Revisions,
        now: float,
    ) -> None:
        self._recorder = recorder
        self._claim_cache = claims
        self._owner = owner
        self._now = now
        self._pod_api = client.resource(PODS, namespace_of(owner))
        self._claim_api = client.resource(PERSISTENTVOLUMECLAIMS, namespace_of(owner))
        self._current = revisions.current
        self._update = revisions.update
        self._min_ready: int = owner["spec"].get("minReadySeconds", 0)
        self._ordered = owner["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
        first, count = start_ordinal(owner), owner["spec"].get("replicas", 1)
        by_ordinal = {ordinal_of(owner, name_of(pod)): pod for pod in pods}
        self._wanted: dict[int, Object | None] = {
            number: by_ordinal.get(number) for number in range(first, first + count)
        }
        condemned = [number for number in by_ordinal if number is not None and number not in self._wanted]
        self._condemned = [by_ordinal[number] for number in sorted(condemned, reverse=True)]
        self._pods = list(pods)
        self._collisions = revisions.collisions
        self.status = self._count(owner.get("status") or {})

    async def run(self) -> None:
        """Do one round: one step where order matters, all steps where it does not."""
        if "deletionTimestamp" in self._owner["metadata"]:
            return
        complete = True
        for number, pod in self._wanted.items():
            if not await self._process(number, pod):
                complete = False
                if self._ordered:
                    return
        if not await self._remove_condemned() or (not complete and self._ordered):
            return
        strategy = self._owner["spec"].get("updateStrategy") or {}
        if strategy.get("type") != "OnDelete":
            await self._roll((strategy.get("rollingUpdate") or {}).get("partition", 0))
        self._complete_rollout()

    def _count(self, old: Object) -> Object:
        """Count the pods by what they are."""
        live = [pod for pod in self._pods if phase_of(pod)]
        steady = [pod for pod in live if not is_terminating(pod)]
        current, update = name_of(self._current), name_of(self._update)
        counts = {
            "readyReplicas": sum(_runs_ready(pod) for pod in live),
            "currentReplicas": sum(revision_of(pod) == current for pod in steady),
            "updatedReplicas": sum(revision_of(pod) == update for pod in steady),
        }
        status: Object = {
            "observedGeneration": self._owner["metadata"].get("generation", 0),
            "replicas": len(live),
            "availableReplicas": sum(self._available(pod) for pod in live),
            "currentRevision": current,
            "updateRevision": update,
            **{key: value for key, value in counts.items() if value},
        }
        status["collisionCount"] = self._collisions or 0
        if old.get("conditions"):
            status["conditions"] = old["conditions"]
        return status

    def _available(self, pod: Object) -> bool:
        return _runs_ready(pod) and is_available(pod, self._min_ready, self._now)

    async def _process(self, number: int, pod: Object | None) -> bool:
        """See to one ordinal; return whether the next one may be looked at."""
        if pod is None:
            await self._create(number)
            return not self._ordered
        if phase_of(pod) in ("Failed", "Succeeded"):
            if not is_terminating(pod):
                await self._delete(pod)
            return False  # the new one is made when this one is gone
        if phase_of(pod) == "Pending" and not is_terminating(pod):
            await self._create_claims(number, pod)
        if self._ordered and (is_terminating(pod) or not self._available(pod)):
            return False
        await self._retain_claims(number, pod, condemned=False)
        if not has_identity(self._owner, pod, number) and not is_terminating(pod):
            await self._mend(number, pod)
        return True

    async def _create(self, number: int) -> None:
        revision = self._revision_for(number)
        pod = make_pod(self._owner, template_of(revision), name_of(revision), number)
        name, owner = name_of(pod), name_of(self._owner)
        try:
            await self._create_claims(number, pod)
            created = await self._pod_api.create(pod)
        except (APIStatusError, ClaimGoneError) as error:
            if not (isinstance(error, APIStatusError) and is_namespace_terminating(error)):
                message = f"create Pod {name} in StatefulSet {owner} failed error: {error}"
                self._recorder.event(self._owner, "Warning", "FailedCreate", message)
            raise
        message = f"create Pod {name} in StatefulSet {owner} successful"
        self._recorder.event(self._owner, "Normal", "SuccessfulCreate", message)
        for key, revision_name in (("currentReplicas", self._current), ("updatedReplicas", self._update)):
            if revision_of(created) == name_of(revision_name):
                self.status[key] = self.status.get(key, 0) + 1
        self.status["replicas"] += 1

    def _revision_for(self, number: int) -> Object:
        """A pod below the partition, or below those not updated yet, is made again as it was."""
        strategy = self._owner["spec"].get("updateStrategy") or {}
        rolling = strategy.get("rollingUpdate")
        first = start_ordinal(self._owner)
        if strategy.get("type") == "OnDelete":
            return self._update
        if rolling is None or "partition" not in rolling:
            below = first + (self._owner.get("status") or {}).get("currentReplicas", 0)
        else:
            below = first + rolling["partition"]
        return self._current if number < below else self._update

    async def _create_claims(self, number: int, pod: Object) -> None:
        """Make the pod's claims that are not there. Raises ClaimGoneError when one is on its way out."""
        for claim in claims_of(self._owner, number).values():
            name = name_of(claim)
            found = self._claim_cache.get(namespace_of(self._owner), name)
            if found is not None:
                if "deletionTimestamp" in found.object["metadata"]:
                    raise ClaimGoneError(f"pvc {name} is being deleted")
                continue
            owners = claim_owners(self._owner, pod, claim, condemned=False)
            if owners:
                claim["metadata"]["ownerReferences"] = owners
            try:
                await self._claim_api.create(claim)
            except APIStatusError as error:
                if error.reason == "AlreadyExists":
                    continue
                raise
            message = f"create Claim {name} Pod {name_of(pod)} in StatefulSet {name_of(self._owner)} success"
            self._recorder.event(self._owner, "Normal", "SuccessfulCreate", message)

    async def _retain_claims(self, number: int, pod: Object, *, condemned: bool) -> None:
        """Give the pod's claims the owners that the retention policy asks for."""
        for claim in claims_of(self._owner, number).values():
            found = self._claim_cache.get(namespace_of(self._owner), name_of(claim))
            if found is None:
                continue
            owners = claim_owners(self._owner, pod, found.object, condemned=condemned)
            if owners is not None:
                changed = copy_object(found.object)
                changed["metadata"]["ownerReferences"] = owners
                await self._claim_api.update(changed)

    async def _mend(self, number: int, pod: Object) -> None:
        """Put a pod's identity right."""
        changed = copy_object(pod)
        set_identity(self._owner, changed, number)
        set_storage(self._owner, changed, number)
        await self._create_claims(number, changed)
        await self._pod_api.update(changed)
        message = f"update Pod {name_of(pod)} in StatefulSet {name_of(self._owner)} successful"
        self._recorder.event(self._owner, "Normal", "SuccessfulUpdate", message)

    async def _remove_condemned(self) -> bool:
        """Remove pods above the wanted ones, the highest first; return whether nothing had to be waited for."""
        first_unhealthy = self._first_unhealthy()
        for pod in self._condemned:
            number = ordinal_of(self._owner, name_of(pod))
            if number is not None:
                await self._retain_claims(number, pod, condemned=True)
            if is_terminating(pod):
                if self._ordered:
                    return False
                continue
            healthy = self._available(pod)
            if self._ordered and not healthy and name_of(pod) != first_unhealthy:
                return False  # something below is not well: taking more away could lose the quorum
            await self._delete(pod)
            if self._ordered:
                return False
        return True

    def _first_unhealthy(self) -> str:
        """The name of the lowest pod that is not ready or is terminating."""
        everything = [*self._wanted.values(), *reversed(self._condemned)]
        for pod in everything:
            if pod is not None and (not _runs_ready(pod) or is_terminating(pod)):
                return name_of(pod)
        return ""

    async def _delete(self, pod: Object) -> None:
        name, owner = name_of(pod), name_of(self._owner)
        try:
            await self._pod_api.delete(name, uid=uid_of(pod))
        except NotFound:
            return
        except APIStatusError as error:
            message = f"delete Pod {name} in StatefulSet {owner} failed error: {error}"
            self._recorder.event(self._owner, "Warning", "FailedDelete", message)
            raise
        message = f"delete Pod {name} in StatefulSet {owner} successful"
        self._recorder.event(self._owner, "Normal", "SuccessfulDelete", message)
        for key, revision in (("currentReplicas", self._current), ("updatedReplicas", self._update)):
            if revision_of(pod) == name_of(revision) and self.status.get(key):
                self.status[key] -= 1
                if not self.status[key]:
                    del self.status[key]

    async def _roll(self, partition: int) -> None:
        """Replace one pod that is not of the newest revision, from the highest ordinal down to the partition."""
        for pod in list(reversed(list(self._wanted.values())))[: max(len(self._wanted) - partition, 0)]:
            if pod is None:
                return
            if revision_of(pod) != name_of(self._update) and not is_terminating(pod):
                await self._delete(pod)
                return
            if is_terminating(pod) or not self._available(pod):
                return

    def _complete_rollout(self) -> None:
        """When every pod is updated and ready, the newest revision is the current one."""
        status = self.status
        strategy = self._owner["spec"].get("updateStrategy") or {}
        everything = status["replicas"]
        done = status.get("updatedReplicas", 0) == everything and status.get("readyReplicas", 0) == everything
        if strategy.get("type") != "OnDelete" and done:
            status["currentRevision"] = status["updateRevision"]
            if everything:
                status["currentReplicas"] = status["updatedReplicas"]


def _runs_ready(pod: Object) -> bool:
    return phase_of(pod) == "Running" and is_ready(pod)
