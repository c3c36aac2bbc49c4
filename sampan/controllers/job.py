"""Jobs: pods that run to completion, each counted exactly once.

Behaviour: kube-controller-manager's pkg/controller/job: parallelism and completions, indexed Jobs, back-off per Job and
per index, pod failure and success policies, suspension, deadlines, pod replacement policy, managedBy; finalizers on
pods and uncounted uids in the status make the counting survive crashes. TTL after finishing is another controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import labels, times
from sampan.api.object import controller_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import JOBS, PODS
from sampan.client.workqueue import WorkQueue
from sampan.controllers import jobrules
from sampan.controllers.expectations import Expectations
from sampan.controllers.jobround import JobRound, release
from sampan.controllers.jobsync import Backoff, JobState, is_finished
from sampan.controllers.podcontrol import Claims, PodControl, controller_reference
from sampan.controllers.podview import PodIndex
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext
    from sampan.controllers.podview import PodView

_BATCH_SECONDS = 0.1
"""Changes of pods are gathered this long: a Job of 5 000 pods must not be judged 5 000 times in a second."""
_MANAGER = "kubernetes.io/job-controller"


def new(context: ControllerContext) -> Controller:
    """The Job controller."""
    return Jobs(context).controller


class Jobs:
    """The controller: events in, rounds out."""

    def __init__(self, context: ControllerContext) -> None:
        self.client = context.client
        self._clock = context.clock
        self.recorder = context.recorder("job-controller")
        self.pod_control = PodControl(context.client, self.recorder)
        self._jobs = context.informer(JOBS)
        self.pod_informer = context.informer(PODS)
        self._pods = PodIndex(self.pod_informer)
        self.expectations: Expectations[Request] = Expectations(context.clock)
        self.removing: dict[str, set[str]] = {}
        self.backoffs: dict[str, Backoff] = {}
        self._orphans: WorkQueue[Request] = WorkQueue(context.clock)
        orphans = Controller(
            "job-controller orphans", _Orphans(self), clock=context.clock, queue=self._orphans, workers=2
        )
        self.controller = Controller(
            "job-controller",
            self,
            clock=context.clock,
            workers=context.options.concurrent_syncs,
            services=(orphans.run,),
        )
        self._queue = self.controller.queue
        self._jobs.add_handler(self._on_job)
        self.pod_informer.add_handler(self._on_pod)

    def job_of(self, namespace: str, owner: Object | None) -> Object | None:
        """The Job that an ownerReference means, if it is still that one."""
        if owner is None or owner["kind"] != "Job":
            return None
        stored = self._jobs.get(namespace, owner["name"])
        return stored.object if stored is not None and uid_of(stored.object) == owner["uid"] else None

    def _on_job(self, old: Stored | None, new: Stored | None) -> None:
        item = new or old
        assert item is not None
        if new is None:
            uid = uid_of(item.object)
            self.removing.pop(uid, None)
            self.backoffs.pop(uid, None)
            for pod in self._pods.owned_by(uid):
                self._orphans.add(Request(pod.namespace, pod.name))
        self._queue.add(Request(item.namespace, item.name))

    def _on_pod(self, old: Stored | None, new: Stored | None) -> None:
        if new is None:
            assert old is not None
            self._pod_gone(old)
            return
        pod = new.object
        owner = controller_of(pod)
        job = self.job_of(new.namespace, owner)
        if jobrules.is_tracked(pod) and job is None and (owner is None or owner["kind"] == "Job"):
            self._orphans.add(Request(new.namespace, new.name))
        if job is None:
            if owner is None and (old is None or old.labels != new.labels):
                self._enqueue_matching(new)
            return
        request = Request(new.namespace, name_of(job))
        if not jobrules.is_tracked(pod):
            self.removing.get(uid_of(job), set()).discard(uid_of(pod))
        if "deletionTimestamp" in pod["metadata"]:
            self.expectations.deletion_observed(request, f"{new.namespace}/{new.name}")
        elif old is None:
            self.expectations.creation_observed(request)
        self._queue.add_after(request, _BATCH_SECONDS)

    def _pod_gone(self, old: Stored) -> None:
        job = self.job_of(old.namespace, controller_of(old.object))
        if job is None:
            return
        request = Request(old.namespace, name_of(job))
        self.removing.get(uid_of(job), set()).discard(uid_of(old.object))
        self.expectations.deletion_observed(request, f"{old.namespace}/{old.name}")
        self._queue.add_after(request, _BATCH_SECONDS)

    def _enqueue_matching(self, pod: Stored) -> None:
        for item in self._jobs.list(pod.namespace):
            selector = item.object["spec"].get("selector")
            if selector and labels.from_object(selector).matches(pod.labels):
                self._queue.add(Request(item.namespace, item.name))

    async def reconcile(self, request: Request) -> Result:
        """Sync one Job."""
        stored = self._jobs.get(request.namespace, request.name)
        if stored is None:
            self.expectations.forget(request)
            return DONE
        if stored.object["spec"].get("managedBy") not in (None, _MANAGER):
            return DONE
        if is_finished(stored.object):
            self.backoffs.pop(uid_of(stored.object), None)
            return DONE
        job = copy_object(stored.object)
        satisfied = self.expectations.satisfied(request)
        uid = uid_of(job)
        pods = await self._claimed(job)
        now = self._clock.time()
        status = job.setdefault("status", {})
        if "startTime" not in status and not job["spec"].get("suspend"):
            status["startTime"] = times.format_time(now)
        removing = set(self.removing.get(uid, ()))
        state = JobState(job, pods, removing, self.backoffs.get(uid, Backoff()), now)
        return await JobRound(self, request, state, satisfied=satisfied).run()

    async def _claimed(self, job: Object) -> list[Object]:
        resource = self.client.resource(JOBS, namespace_of(job))
        reference = controller_reference(job, "batch/v1", "Job")
        selector = labels.from_object(job["spec"].get("selector"))
        claims = _TrackingClaims(self.client, job, reference, selector, lambda: resource.get(name_of(job)))
        candidates = self._pods.owned_by(uid_of(job)) + self._pods.orphans(namespace_of(job))
        items = [self.pod_informer.get(pod.namespace, pod.name) for pod in await claims.claim(candidates)]
        return [item.object for item in items if item is not None]


class _TrackingClaims(Claims):
    """Adopted pods are counted too: they get the finalizer with their owner."""

    def adoption(self, pod: PodView) -> Object:
        patch = super().adoption(pod)
        patch["metadata"]["finalizers"] = [jobrules.FINALIZER]
        return patch


class _Orphans:
    """Takes the finalizer from pods whose Job is gone, so that they can go too."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def reconcile(self, request: Request) -> Result:
        """Release one pod."""
        stored = self._jobs.pod_informer.get(request.namespace, request.name)
        if stored is None or not jobrules.is_tracked(stored.object):
            return DONE
        if self._jobs.job_of(request.namespace, controller_of(stored.object)) is not None:
            return DONE
        await release(self._jobs.client, stored.object)
        return DONE
