"""Acting on what one round over a Job found: pods made and deleted, pods counted, the status written. See `job`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import APIStatusError, NotFound
from sampan.api.object import name_of, namespace_of, uid_of
from sampan.api.pods import is_ready
from sampan.base.errors import SampanError
from sampan.client.item import copy_object
from sampan.client.resources import JOBS, PODS
from sampan.controllers import jobrules
from sampan.controllers.jobsync import Finish, JobState, generate_name, pod_for, set_condition
from sampan.controllers.podcontrol import controller_reference, is_namespace_terminating, slow_start, together
from sampan.runtime import DONE, Request, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object
    from sampan.client.client import Client
    from sampan.client.interface import Stored
    from sampan.controllers.job import Jobs

_BURST = 500
"""Pods made or deleted in one round."""


async def release(client: Client, pod: Object) -> None:
    """Remove the finalizer from a pod; one that is gone has none."""
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [jobrules.FINALIZER], "uid": uid_of(pod)}}
    try:
        await client.resource(PODS, namespace_of(pod)).patch(name_of(pod), patch)
    except NotFound:
        return


class JobRound:
    """Acts on what a `JobState` says."""

    def __init__(self, jobs: Jobs, request: Request, state: JobState, *, satisfied: bool) -> None:
        self._jobs = jobs
        self._request = request
        self._state = state
        self._satisfied = satisfied
        self._finish: Finish | None = None
        self._error: Exception | None = None
        self._wait: float | None = None
        self._changed = False

    async def run(self) -> Result:
        """Manage the pods, then count them. Raises what a write raised, after the status was written."""
        state = self._state
        before = copy_object(state.status)
        self._finish = state.finish()
        active = await self._end() if self._finish is not None else await self._manage()
        status = state.status
        status["ready"], status["terminating"] = state.ready, state.terminating
        status["active"] = active
        changed = any(before.get(key, 0) != status[key] for key in ("ready", "terminating", "active"))
        await self._track(changed=changed or self._changed or "startTime" not in before)
        if self._error is not None:
            raise self._error
        return DONE if self._wait is None else Result(requeue_after=max(self._wait, 0.0))

    async def _end(self) -> int:
        """Delete what still runs; it is final only when the cache shows all pods and all could be deleted."""
        state = self._state
        deleted, failures = await self._delete(state.active, release_first=False)
        if deleted != len(state.active) or not self._satisfied:
            self._finish = None
        self._error = failures[0] if failures else None
        state.terminating += deleted
        return len(state.active) - deleted

    async def _manage(self) -> int:
        state = self._state
        active = len(state.active)
        managed = self._satisfied and "deletionTimestamp" not in state.job["metadata"]
        if managed:
            active = await self._fit()
        if state.is_complete(active):
            self._finish = Finish(
                succeeded=True, reason="CompletionsReached", message="Reached expected number of succeeded pods"
            )
        elif managed:
            self._show_suspension()
        left = state.deadline_in()
        if left is not None:
            self._wait = left if self._wait is None else min(self._wait, left)
        return active

    def _show_suspension(self) -> None:
        state, recorder = self._state, self._jobs.recorder
        suspended = bool(state.job["spec"].get("suspend"))
        value, reason, message = ("True", "JobSuspended", "Job suspended") if suspended else (
            "False", "JobResumed", "Job resumed",
        )  # fmt: skip
        if not set_condition(state.status, "Suspended", value, reason, message, now=state.now):
            return
        self._changed = True
        recorder.event(state.job, "Normal", "Suspended" if suspended else "Resumed", message)
        if not suspended:
            state.status["startTime"] = times.format_time(state.now)

    async def _fit(self) -> int:
        """Bring the number of active pods to what is wanted; return it."""
        state = self._state
        active = len(state.active)
        suspended = bool(state.job["spec"].get("suspend"))
        wanted = 0 if suspended else state.wanted_active()
        surplus = state.surplus(max(active - wanted, 0))[:_BURST]
        if surplus:
            keys = [f"{namespace_of(pod)}/{name_of(pod)}" for pod in surplus]
            self._jobs.expectations.expect_deletions(self._request, keys)
            deleted, failures = await self._delete(surplus, release_first=True)
            self._error = failures[0] if failures else None
            state.terminating += deleted
            return active - deleted
        if suspended:
            return active
        replaced_late = jobrules.only_failed_are_replaced(state.job)
        missing = min(wanted - active - (state.terminating if replaced_late else 0), _BURST)
        return active if missing <= 0 else active + await self._create(missing)

    async def _create(self, missing: int) -> int:
        """Make pods, unless a back-off holds them up; return how many were made."""
        state, job = self._state, self._state.job
        indexes: list[int | None] = [None] * missing
        if state.failed_indexes is None:
            wait = state.backoff.wait(state.now)
            if wait > 0:
                self._wait = wait
                return 0
        if jobrules.is_indexed(job):
            pending = state.pending_indexes(missing)
            if state.failed_indexes is not None:
                waits = {index: state.index_wait(index) for index in pending}
                pending = [index for index in pending if waits[index] <= 0]
                if held := [wait for wait in waits.values() if wait > 0]:
                    self._wait = min(held)
            indexes = list(pending)
        if not indexes:
            return 0
        expectations, control = self._jobs.expectations, self._jobs.pod_control
        expectations.expect_creations(self._request, len(indexes))
        reference = controller_reference(job, "batch/v1", "Job")
        count = len(indexes)

        async def create() -> None:
            index = indexes.pop(0)
            template = pod_for(state, job["spec"]["template"], index)
            prefix = generate_name(job, index)
            try:
                await control.create(
                    job, template, reference, change=lambda pod: pod["metadata"].update(generateName=prefix)
                )
            except APIStatusError as error:
                if not is_namespace_terminating(error):
                    raise
                expectations.creation_observed(self._request)

        done, self._error = await slow_start(count, create)
        expectations.creation_observed(self._request, count - done)
        return done

    async def _delete(self, pods: Sequence[Object], *, release_first: bool) -> tuple[int, list[Exception]]:
        """Delete pods; those that are merely too many are not counted and lose their finalizer first."""
        jobs, state = self._jobs, self._state

        async def delete(pod: Object) -> None:
            key = f"{namespace_of(pod)}/{name_of(pod)}"
            try:
                if release_first and jobrules.is_tracked(pod):
                    await release(jobs.client, pod)
                await jobs.pod_control.delete(state.job, name_of(pod))
            except NotFound:
                jobs.expectations.deletion_observed(self._request, key)
            except (APIStatusError, OSError):
                jobs.expectations.deletion_observed(self._request, key)
                raise
            if is_ready(pod):
                state.ready -= 1

        failures = await together([lambda pod=pod: delete(pod) for pod in pods])  # type: ignore[misc]
        return len(pods) - len(failures), failures

    async def _track(self, *, changed: bool) -> None:
        """Count in three durable steps, and end the Job when nothing is left to count."""
        state, finish = self._state, self._finish
        tracked = {uid_of(pod) for pod in state.pods if state.is_tracked(pod)}
        changed = state.collect_counted(tracked) or changed
        removable, noted, reached = state.count(finish)
        changed = noted or changed
        if finish is not None:
            changed = self._set(finish.interim, finish) or changed
        if changed:
            await self._write()
        self._jobs.backoffs[uid_of(state.job)] = state.backoff
        released = await self._release(removable)
        changed = state.collect_counted(tracked - released)
        ended = finish is not None and not reached and self._enact(finish)
        if changed or ended:
            await self._write()
        if ended and finish is not None:
            self._record_end(finish)
        if self._error is None and len(released) != len(removable):
            self._error = _NotReleasedError("finalizers of some pods could not be removed")

    async def _release(self, pods: Sequence[Object]) -> set[str]:
        """Remove finalizers; return the uids of the pods that have none any more."""
        jobs = self._jobs
        released: set[str] = set()
        removing = jobs.removing.setdefault(uid_of(self._state.job), set())

        async def one(pod: Object) -> None:
            uid = uid_of(pod)
            removing.add(uid)
            try:
                await release(jobs.client, pod)
            except BaseException:
                removing.discard(uid)
                raise
            released.add(uid)

        await together([lambda pod=pod: one(pod) for pod in pods])  # type: ignore[misc]
        present = {uid_of(item.object) for item in self._present(pods)}
        removing &= present | (removing - released)
        return released

    def _present(self, pods: Sequence[Object]) -> list[Stored]:
        found = [self._jobs.pod_informer.get(namespace_of(pod), name_of(pod)) for pod in pods]
        return [item for item in found if item is not None and jobrules.is_tracked(item.object)]

    def _enact(self, finish: Finish) -> bool:
        """Set the final condition once every pod is counted and gone."""
        state = self._state
        if state.uncounted("succeeded") or state.uncounted("failed") or state.terminating > 0:
            return False
        if not self._set(finish.final, finish):
            return False
        if finish.succeeded:
            state.status["completionTime"] = times.format_time(state.now)
        return True

    def _set(self, type_: str, finish: Finish) -> bool:
        state = self._state
        return set_condition(state.status, type_, "True", finish.reason, finish.message, now=state.now)

    def _record_end(self, finish: Finish) -> None:
        recorder, job = self._jobs.recorder, self._state.job
        if not finish.succeeded:
            recorder.event(job, "Warning", finish.reason, finish.message)
            return
        completions = self._state.completions
        if completions is not None and self._state.status.get("succeeded", 0) > completions:
            message = "Too many succeeded pods running after completion count reached"
            recorder.event(job, "Warning", "TooManySucceededPods", message)
        recorder.event(job, "Normal", "Completed", "Job completed")

    async def _write(self) -> None:
        state = self._state
        resource = self._jobs.client.resource(JOBS, namespace_of(state.job))
        updated = await resource.update_status(_normal(state.job))
        state.job["metadata"] = updated["metadata"]


class _NotReleasedError(SampanError):
    """Some pods keep their finalizer for now; the Job is retried."""


def _normal(job: Object) -> Object:
    """Leave out the counters that are nothing, as the API does."""
    status = dict(job["status"])
    for key in ("active", "succeeded", "failed"):
        if not status.get(key):
            status.pop(key, None)
    uncounted = {key: value for key, value in status.get("uncountedTerminatedPods", {}).items() if value}
    return {**job, "status": {**status, "uncountedTerminatedPods": uncounted}}
