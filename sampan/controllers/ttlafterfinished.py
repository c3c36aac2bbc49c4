"""Finished Jobs with ``ttlSecondsAfterFinished`` are deleted when that time is over.

Behaviour: kube-controller-manager's ttl-after-finished-controller: the Job is read from the API once more before it is
deleted, and its pods go in the foreground.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.errors import NotFound
from sampan.api.object import uid_of
from sampan.client.resources import JOBS
from sampan.controllers.jobsync import condition, is_finished
from sampan.runtime import DONE, Controller, Request, Result

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext


def new(context: ControllerContext) -> Controller:
    """The TTL controller of Jobs."""
    return _TTL(context).controller


class _TTL:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._jobs = context.informer(JOBS)
        self.controller = Controller("ttl-after-finished-controller", self, clock=context.clock, workers=5)
        self._jobs.add_handler(self._on_job)

    def _on_job(self, _: Stored | None, new: Stored | None) -> None:
        if new is not None and _expires(new.object) is not None:
            self.controller.queue.add(Request(new.namespace, new.name))

    async def reconcile(self, request: Request) -> Result:
        """Delete one Job if its time is over, else come back when it is."""
        stored = self._jobs.get(request.namespace, request.name)
        end = None if stored is None else _expires(stored.object)
        if end is None:
            return DONE
        wait = end - self._clock.time()
        if wait > 0:
            return Result(requeue_after=wait)
        resource = self._client.resource(JOBS, request.namespace)
        try:
            fresh = await resource.get(request.name)
            end = _expires(fresh)
            if end is None or end > self._clock.time():
                return DONE if end is None else Result(requeue_after=end - self._clock.time())
            version = fresh["metadata"]["resourceVersion"]
            await resource.delete(request.name, propagation="Foreground", uid=uid_of(fresh), resource_version=version)
        except NotFound:
            return DONE
        return DONE


def _expires(job: Object) -> float | None:
    """When a Job is to go; None for never (yet)."""
    seconds = job["spec"].get("ttlSecondsAfterFinished")
    if seconds is None or "deletionTimestamp" in job["metadata"] or not is_finished(job):
        return None
    ends = [condition(job["status"], type_) for type_ in ("Complete", "Failed")]
    found = next(one for one in ends if one is not None and one["status"] == "True")
    return times.parse(found["lastTransitionTime"]) + float(seconds)
