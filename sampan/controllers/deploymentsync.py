"""One round over one Deployment: revisions, sizes, status.

Objects it holds are its own copies or freshly answered ones. See `deployment` for what it promises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import AlreadyExists, APIStatusError, NotFound
from sampan.api.object import annotations_of, controller_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import DEPLOYMENTS, REPLICASETS
from sampan.controllers import rollout
from sampan.controllers.podcontrol import is_namespace_terminating
from sampan.controllers.revisions import (
    annotations_for,
    find_newest,
    make_replica_set,
    same_template,
    size_annotations,
)
from sampan.controllers.rollout import REVISION, counted, wanted
from sampan.runtime import DONE, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.client.client import Client
    from sampan.controllers.podview import PodIndex
    from sampan.runtime import EventRecorder


class DeploymentSync:
    """One round. owned: the ReplicaSets that the Deployment controls. now: epoch seconds."""

    def __init__(
        self,
        client: Client,
        recorder: EventRecorder,
        pods: PodIndex,
        deployment: Object,
        owned: list[Object],
        *,
        now: float,
    ) -> None:
        namespace = namespace_of(deployment)
        self._recorder = recorder
        self._now = now
        self._pods = pods
        self._deployments = client.resource(DEPLOYMENTS, namespace)
        self._replica_sets = client.resource(REPLICASETS, namespace)
        self._deployment = deployment
        self._owned = sorted(owned, key=lambda one: (one["metadata"]["creationTimestamp"], name_of(one)))
        self._newest = find_newest(deployment, self._owned)

    @property
    def _old(self) -> list[Object]:
        uid = None if self._newest is None else uid_of(self._newest)
        return [one for one in self._owned if uid_of(one) != uid]

    @property
    def _all(self) -> list[Object]:
        return self._old if self._newest is None else [*self._old, self._newest]

    async def run(self) -> Result:
        """Do what the Deployment's state calls for."""
        deployment = self._deployment
        if "deletionTimestamp" in deployment["metadata"]:
            await self._sync_revision(create=False)
            return await self._sync_status(progress=False)
        await self._check_paused()
        if deployment["spec"].get("paused") or self._is_scaling():
            await self._sync_revision(create=False)
            await self._scale()
            if deployment["spec"].get("paused"):
                await self._clean_up()
            return await self._sync_status(progress=False)
        if rollout.is_rolling(deployment):
            return await self._roll()
        return await self._recreate()

    async def _check_paused(self) -> None:
        """Say in the Progressing condition that the rollout is paused or resumed."""
        if rollout.progress_deadline(self._deployment) is None:
            return
        status = self._deployment.setdefault("status", {})
        current = rollout.get_condition(status, "Progressing")
        if current is not None and current["reason"] == "ProgressDeadlineExceeded":
            return
        paused = bool(self._deployment["spec"].get("paused"))
        says_paused = current is not None and current["reason"] == "DeploymentPaused"
        if paused and not says_paused:
            message = "Deployment is paused"
            rollout.set_condition(status, "Progressing", "Unknown", "DeploymentPaused", message, now=self._now)
        elif not paused and says_paused:
            message = "Deployment is resumed"
            rollout.set_condition(status, "Progressing", "Unknown", "DeploymentResumed", message, now=self._now)
        else:
            return
        await self._write_status()

    def _is_scaling(self) -> bool:
        """Whether spec.replicas changed since the ReplicaSets were last sized."""
        desired = str(wanted(self._deployment))
        sizes = [annotations_of(one).get(rollout.DESIRED_REPLICAS) for one in self._all if wanted(one) > 0]
        return any(size is not None and size != desired for size in sizes)

    async def _sync_revision(self, *, create: bool) -> None:
        """See that the newest ReplicaSet is annotated with the highest revision; with create, that there is one."""
        number = max((rollout.revision(one) for one in self._old), default=0) + 1
        if self._newest is not None:
            await self._update_newest(number)
        elif create:
            await self._create_newest(number)

    async def _update_newest(self, number: int) -> None:
        newest = self._newest
        assert newest is not None
        spec = self._deployment["spec"]
        annotations = annotations_for(self._deployment, newest, number, exists=True)
        min_ready = spec.get("minReadySeconds", 0)
        if annotations != annotations_of(newest) or newest["spec"].get("minReadySeconds", 0) != min_ready:
            changed = copy_object(newest)
            changed["metadata"]["annotations"] = annotations
            changed["spec"]["minReadySeconds"] = min_ready
            newest = await self._replica_sets.update(changed)
            self._replace(newest)
        changed_revision = await self._set_revision(annotations_of(newest).get(REVISION, ""))
        status = self._deployment.setdefault("status", {})
        has_condition = rollout.get_condition(status, "Progressing") is not None
        if rollout.progress_deadline(self._deployment) is not None and not has_condition:
            message = f'Found new replica set "{name_of(newest)}"'
            rollout.set_condition(status, "Progressing", "True", "FoundNewReplicaSet", message, now=self._now)
            changed_revision = True
        if changed_revision:
            await self._write_status()

    async def _set_revision(self, number: str) -> bool:
        """Show the revision on the Deployment itself; return whether its status is to be written too."""
        if annotations_of(self._deployment).get(REVISION) == number:
            return False
        changed = copy_object(self._deployment)
        changed["metadata"].setdefault("annotations", {})[REVISION] = number
        updated = await self._deployments.update(changed)
        updated["status"] = self._deployment.get("status") or {}
        self._deployment = updated
        return True

    async def _create_newest(self, number: int) -> None:
        made = make_replica_set(self._deployment)
        size = rollout.new_size(self._deployment, [*self._owned, made], made)
        made["spec"]["replicas"] = size
        made["metadata"]["annotations"] = annotations_for(self._deployment, made, number, exists=False)
        deadline = rollout.progress_deadline(self._deployment)
        existed = False
        try:
            created = await self._replica_sets.create(made)
        except AlreadyExists:
            found = await self._existing(name_of(made))
            if found is None:
                raise
            created, existed = found, True
        except APIStatusError as error:
            if not is_namespace_terminating(error):
                await self._report_failed_creation(name_of(made), error)
            raise
        self._owned.append(created)
        self._newest = created
        if not existed and size > 0:
            self._record_scaling("up", name_of(created), 0, size)
        await self._set_revision(annotations_of(created).get(REVISION, ""))
        status = self._deployment.setdefault("status", {})
        if not existed and deadline is not None:
            message = f'Created new replica set "{name_of(created)}"'
            rollout.set_condition(status, "Progressing", "True", "NewReplicaSetCreated", message, now=self._now)
            await self._write_status()

    async def _existing(self, name: str) -> Object | None:
        """A ReplicaSet of the name we wanted: ours that the cache did not show, or another template's (a collision)."""
        found = await self._replica_sets.get(name)
        owner = controller_of(found)
        mine = owner is not None and owner["uid"] == uid_of(self._deployment)
        if mine and same_template(found["spec"]["template"], self._deployment["spec"]["template"]):
            return found
        status = self._deployment.setdefault("status", {})
        status["collisionCount"] = status.get("collisionCount", 0) + 1
        await self._write_status()
        return None

    async def _report_failed_creation(self, name: str, error: APIStatusError) -> None:
        message = f'Failed to create new replica set "{name}": {error}'
        if rollout.progress_deadline(self._deployment) is not None:
            status = self._deployment.setdefault("status", {})
            rollout.set_condition(status, "Progressing", "False", "ReplicaSetCreateError", message, now=self._now)
            await self._write_status()
        self._recorder.event(self._deployment, "Warning", "ReplicaSetCreateError", message)

    async def _scale(self) -> None:
        """Bring the sizes in line with spec.replicas without rolling on."""
        deployment, replicas = self._deployment, wanted(self._deployment)
        active = [one for one in self._all if wanted(one) > 0]
        only = self._only_active(active)
        if only is not None:
            if wanted(only) != replicas:
                await self._resize(only, replicas)
            return
        newest = self._newest
        if newest is not None and self._is_saturated(newest):
            for one in [one for one in self._old if wanted(one) > 0]:
                await self._resize(one, 0)
            return
        if rollout.is_rolling(deployment):
            sizes = rollout.proportional_sizes(deployment, active)
            for one in active:
                await self._resize(one, sizes[name_of(one)])

    def _only_active(self, active: Sequence[Object]) -> Object | None:
        if len(active) > 1:
            return None
        if active:
            return active[0]
        if self._newest is not None:
            return self._newest
        return self._old[-1] if self._old else None

    def _is_saturated(self, newest: Object) -> bool:
        """Whether the newest ReplicaSet alone is what the Deployment wants."""
        replicas = wanted(self._deployment)
        desired = annotations_of(newest).get(rollout.DESIRED_REPLICAS, "")
        available = counted(newest, "availableReplicas")
        return wanted(newest) == replicas and desired == str(replicas) and available == replicas

    async def _resize(self, replica_set: Object, size: int) -> bool:
        """Give a ReplicaSet its size and the annotations that remember the Deployment's; return whether it changed."""
        before = wanted(replica_set)
        annotations = {**annotations_of(replica_set), **size_annotations(self._deployment)}
        if before == size and annotations == annotations_of(replica_set):
            return False
        changed = copy_object(replica_set)
        changed["spec"]["replicas"] = size
        changed["metadata"]["annotations"] = annotations
        self._replace(await self._replica_sets.update(changed))
        if before != size:
            self._record_scaling("up" if size > before else "down", name_of(replica_set), before, size)
        return before != size

    def _replace(self, updated: Object) -> None:
        uid = uid_of(updated)
        self._owned = [updated if uid_of(one) == uid else one for one in self._owned]
        if self._newest is not None and uid_of(self._newest) == uid:
            self._newest = updated

    def _record_scaling(self, direction: str, name: str, before: int, after: int) -> None:
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        self._recorder.event(self._deployment, "Normal", "ScalingReplicaSet", message)

    async def _recreate(self) -> Result:
        await self._sync_revision(create=False)
        scaled = False
        for one in [one for one in self._old if wanted(one) > 0]:
            scaled = await self._resize(one, 0) or scaled
        if scaled or self._has_old_pods():
            return await self._sync_status(progress=True)
        if self._newest is None:
            await self._sync_revision(create=True)
        assert self._newest is not None
        await self._resize(self._newest, wanted(self._deployment))
        return await self._finish_round()

    def _has_old_pods(self) -> bool:
        """Whether any pod of an old ReplicaSet still runs."""
        if rollout.total_counted(self._old, "replicas") > 0:
            return True
        return any(not pod.terminal for one in self._old for pod in self._pods.owned_by(uid_of(one)))

    async def _roll(self) -> Result:
        await self._sync_revision(create=True)
        newest = self._newest
        assert newest is not None
        replicas = wanted(self._deployment)
        over = wanted(newest) > replicas
        size = replicas if over else rollout.new_size(self._deployment, self._all, newest)
        if wanted(newest) != replicas and await self._resize(newest, size):
            return await self._sync_status(progress=True)
        if await self._shrink_old():
            return await self._sync_status(progress=True)
        return await self._finish_round()

    async def _finish_round(self) -> Result:
        if rollout.is_complete(self._deployment, self._deployment.get("status") or {}):
            await self._clean_up()
        return await self._sync_status(progress=True)

    async def _shrink_old(self) -> bool:
        """Take pods away from old ReplicaSets as far as availability allows: the unhealthy ones first."""
        old = [one for one in self._old if wanted(one) > 0]
        newest = self._newest
        assert newest is not None
        if not old:
            return False
        minimum = wanted(self._deployment) - rollout.max_unavailable(self._deployment)
        unavailable = wanted(newest) - counted(newest, "availableReplicas")
        room = rollout.total_wanted([*old, newest]) - minimum - unavailable
        if room <= 0:
            return False
        taken = 0
        for one in old:
            broken = wanted(one) - counted(one, "availableReplicas")
            cut = min(room - taken, broken)
            if cut > 0:
                await self._resize(one, wanted(one) - cut)
                taken += cut
        surplus = rollout.total_counted(self._all, "availableReplicas") - minimum
        for one in [one for one in self._old if wanted(one) > 0]:
            cut = min(wanted(one), surplus)
            if cut > 0:
                await self._resize(one, wanted(one) - cut)
                surplus -= cut
                taken += cut
        return taken > 0

    async def _clean_up(self) -> None:
        """Delete old ReplicaSets over the history limit that have no pods, the oldest revisions first."""
        limit = self._deployment["spec"].get("revisionHistoryLimit")
        if limit is None or limit == 2**31 - 1:
            return
        candidates = [one for one in self._old if "deletionTimestamp" not in one["metadata"]]
        candidates.sort(key=rollout.revision)
        for one in candidates[: max(len(candidates) - limit, 0)]:
            observed = counted(one, "observedGeneration")
            if counted(one, "replicas") or wanted(one) or one["metadata"].get("generation", 0) > observed:
                continue
            try:
                await self._replica_sets.delete(name_of(one))
            except NotFound:
                continue

    async def _sync_status(self, *, progress: bool) -> Result:
        """Write the status if it changed. progress: judge the rollout's progress too."""
        deployment = self._deployment
        status = rollout.calculate_status(deployment, self._all, self._newest, self._now)
        if progress:
            self._judge(status)
            self._show_failure(status)
        if status == _without_zeros(deployment.get("status") or {}):
            return self._when_stuck(status) if progress else DONE
        deployment["status"] = status
        await self._write_status()
        return self._when_stuck(status) if progress else DONE

    def _judge(self, status: Object) -> None:
        deployment, newest = self._deployment, self._newest
        if rollout.progress_deadline(deployment) is None:
            rollout.remove_condition(status, "Progressing")
            return
        current = rollout.get_condition(deployment.get("status") or {}, "Progressing")
        settled = current is not None and current["reason"] == "NewReplicaSetAvailable"
        if settled and status.get("replicas", 0) == status.get("updatedReplicas", 0):
            return
        what = f'Deployment "{name_of(deployment)}"' if newest is None else f'ReplicaSet "{name_of(newest)}"'
        if rollout.is_complete(deployment, status):
            message = f"{what} has successfully progressed."
            rollout.set_condition(status, "Progressing", "True", "NewReplicaSetAvailable", message, now=self._now)
        elif rollout.has_progressed(deployment, status):
            message = f"{what} is progressing."
            rollout.remove_condition(status, "Progressing")
            rollout.set_condition(status, "Progressing", "True", "ReplicaSetUpdated", message, now=self._now)
            if current is not None and current["status"] == "True":
                status["conditions"][-1]["lastTransitionTime"] = current["lastTransitionTime"]
        elif rollout.has_timed_out(deployment, status, self._now):
            message = f"{what} has timed out progressing."
            rollout.set_condition(status, "Progressing", "False", "ProgressDeadlineExceeded", message, now=self._now)

    def _show_failure(self, status: Object) -> None:
        """Show the newest ReplicaSet's failure to make pods, else an old one's."""
        ordered = [self._newest] if self._newest is not None else []
        for one in [*ordered, *self._old]:
            found = rollout.get_condition(one.get("status") or {}, "ReplicaFailure")
            if found is not None:
                rollout.set_condition(
                    status, "ReplicaFailure", found["status"], found["reason"], found["message"], now=self._now
                )
                return
        rollout.remove_condition(status, "ReplicaFailure")

    def _when_stuck(self, status: Object) -> Result:
        """Come back when the progress deadline passes."""
        deadline = rollout.progress_deadline(self._deployment)
        current = rollout.get_condition(status, "Progressing")
        if deadline is None or current is None or current["reason"] == "ProgressDeadlineExceeded":
            return DONE
        if rollout.is_complete(self._deployment, status):
            return DONE
        after = times.parse(current["lastUpdateTime"]) + deadline - self._now
        return Result(requeue=True) if after < 1 else Result(requeue_after=after + 1)

    async def _write_status(self) -> None:
        self._deployment = await self._deployments.update_status(self._deployment)


def _without_zeros(status: Object) -> Object:
    return {key: value for key, value in status.items() if value or key == "terminatingReplicas"}
