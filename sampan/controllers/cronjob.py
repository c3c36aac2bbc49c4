"""CronJobs: Jobs at scheduled times.

Behaviour: kube-controller-manager's pkg/controller/cronjob (version 2): time zones, concurrency policies, starting
deadlines, suspension, history limits, the most recent of missed times; its events. A Job's name comes from its time, so
that no time is served twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sampan.api import times
from sampan.api.errors import AlreadyExists, APIStatusError, NotFound
from sampan.api.object import controller_of, name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.client.resources import CRONJOBS, JOBS
from sampan.controllers import cronschedule
from sampan.controllers.jobsync import condition, is_finished
from sampan.controllers.podcontrol import controller_reference, is_namespace_terminating
from sampan.runtime import DONE, Controller, Request, Result, enqueue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from sampan.api.object import Object
    from sampan.client.interface import Stored
    from sampan.controllers.context import ControllerContext

_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_MANY_MISSED = 100
_SLACK = 0.1
"""Seconds after a scheduled time at which it is looked at: clocks are not exact."""


def new(context: ControllerContext) -> Controller:
    """The CronJob controller."""
    return _CronJobs(context).controller


class _CronJobs:
    def __init__(self, context: ControllerContext) -> None:
        self._client = context.client
        self._clock = context.clock
        self._recorder = context.recorder("cronjob-controller")
        self._cron_jobs = context.informer(CRONJOBS)
        self._jobs = context.informer(JOBS)
        self.controller = Controller(
            "cronjob-controller", self, clock=context.clock, workers=context.options.concurrent_syncs
        )
        self._jobs.add_index("cronjob-uid", _owner_uid)
        self._cron_jobs.add_handler(enqueue(self.controller.queue))
        self._jobs.add_handler(self._on_job)

    def _on_job(self, old: Stored | None, new: Stored | None) -> None:
        for item in (old, new):
            owner = None if item is None else controller_of(item.object)
            if item is not None and owner is not None and owner["kind"] == "CronJob":
                self.controller.queue.add(Request(item.namespace, owner["name"]))

    async def reconcile(self, request: Request) -> Result:
        """Sync one CronJob."""
        stored = self._cron_jobs.get(request.namespace, request.name)
        if stored is None:
            return DONE
        cron_job = copy_object(stored.object)
        before = copy_object(cron_job.setdefault("status", {}))
        jobs = [item.object for item in self._jobs.by_index("cronjob-uid", uid_of(cron_job))]
        await self._review(cron_job, jobs)
        result = await self._start_due(cron_job)
        await self._clean_up(cron_job, jobs)
        status = cron_job["status"]
        if not status.get("active"):
            status.pop("active", None)
        if status != before:
            await self._client.resource(CRONJOBS, request.namespace).update_status(cron_job)
        return result

    def _event(
        self, cron_job: Object, reason: str, message: str, type_: Literal["Normal", "Warning"] = "Normal"
    ) -> None:
        self._recorder.event(cron_job, type_, reason, message)

    async def _review(self, cron_job: Object, jobs: Sequence[Object]) -> None:
        """Bring the list of active Jobs in line with the Jobs that there are."""
        status = cron_job["status"]
        active: list[Object] = list(status.get("active") or ())
        for job in jobs:
            listed = any(one["uid"] == uid_of(job) for one in active)
            if not is_finished(job):
                if not listed:
                    message = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
                    self._event(cron_job, "UnexpectedJob", message, "Warning")
                continue
            complete = (condition(job["status"], "Complete") or {}).get("status") == "True"
            if listed:
                active = [one for one in active if one["uid"] != uid_of(job)]
                outcome = "Complete" if complete else "Failed"
                message = f"Saw completed job: {name_of(job)}, condition: {outcome}"
                self._event(cron_job, "SawCompletedJob", message)
            end = job["status"].get("completionTime")
            if complete and end and end > status.get("lastSuccessfulTime", ""):
                status["lastSuccessfulTime"] = end
        present = {uid_of(job) for job in jobs}
        for one in [one for one in active if one["uid"] not in present]:
            try:
                found = await self._client.resource(JOBS, namespace_of(cron_job)).get(one["name"])
                gone = uid_of(found) != one["uid"]
            except NotFound:
                gone = True
            if gone:
                self._event(cron_job, "MissingJob", f"Active job went missing: {one['name']}")
                active = [other for other in active if other is not one]
        status["active"] = active

    async def _start_due(self, cron_job: Object) -> Result:
        """Start the Job whose time has come; come back at the next time."""
        spec = cron_job["spec"]
        if "deletionTimestamp" in cron_job["metadata"] or spec.get("suspend"):
            return DONE
        parsed = self._parse(cron_job)
        if parsed is None:
            return DONE
        schedule, zone = parsed
        now = self._clock.time()
        due = self._most_recent(cron_job, schedule, zone, now)
        upcoming = schedule.next(now, zone)
        later = DONE if upcoming is None else Result(requeue_after=upcoming - now + _SLACK)
        if due is None:
            return later
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None and due + deadline < now:
            shown = datetime.fromtimestamp(due, zone).strftime("%a, %d %b %Y %H:%M:%S %z")
            self._event(cron_job, "MissSchedule", f"Missed scheduled time to start a job: {shown}", "Warning")
            return later
        status = cron_job["status"]
        name = f"{name_of(cron_job)}-{int(due) // 60}"
        if any(one["name"] == name for one in status["active"]) or status.get("lastScheduleTime") == times.format_time(
            due
        ):
            return later
        if status["active"] and spec.get("concurrencyPolicy") == "Forbid":
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._event(cron_job, "JobAlreadyActive", message)
            return later
        if spec.get("concurrencyPolicy") == "Replace":
            await self._replace(cron_job)
        await self._create(cron_job, name, due, zone)
        return later

    def _parse(self, cron_job: Object) -> tuple[cronschedule.Schedule, tzinfo] | None:
        spec = cron_job["spec"]
        zone: tzinfo = UTC
        if spec.get("timeZone") is not None:
            try:
                zone = ZoneInfo(spec["timeZone"])
            except (ZoneInfoNotFoundError, ValueError):
                zone_name = spec["timeZone"]
                message = f'invalid timeZone: "{zone_name}": unknown time zone {zone_name}'
                self._event(cron_job, "UnknownTimeZone", message, "Warning")
                return None
        try:
            return cronschedule.parse(spec["schedule"]), zone
        except ValueError as error:
            message = f'unparseable schedule: "{spec["schedule"]}" : {error}'
            self._event(cron_job, "UnparseableCronJobSchedule", message, "Warning")
            return None

    def _most_recent(self, cron_job: Object, schedule: cronschedule.Schedule, zone: tzinfo, now: float) -> float | None:
        """The newest scheduled time that has passed and was not served; None when there is none."""
        status, spec = cron_job["status"], cron_job["spec"]
        earliest = times.parse(status.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"])
        if spec.get("startingDeadlineSeconds") is not None:
            earliest = max(earliest, now - spec["startingDeadlineSeconds"])
        found, missed = None, 0
        moment = schedule.next(earliest, zone)
        while moment is not None and moment <= now:
            found, missed = moment, missed + 1
            following = schedule.next(moment, zone)
            if missed > _MANY_MISSED and following is not None and now - moment > 2 * (following - moment):
                moment = schedule.next(now - 2 * (following - moment), zone)  # years may have passed: leap ahead
                continue
            moment = following
        if missed > _MANY_MISSED:
            message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self._event(cron_job, "TooManyMissedTimes", message, "Warning")
        return found

    async def _replace(self, cron_job: Object) -> None:
        for one in list(cron_job["status"]["active"]):
            try:
                resource = self._client.resource(JOBS, namespace_of(cron_job))
                await resource.delete(one["name"], propagation="Background")
            except NotFound:
                pass
            self._event(cron_job, "SuccessfulDelete", f"Deleted job {one['name']}")
        cron_job["status"]["active"] = []

    async def _create(self, cron_job: Object, name: str, due: float, zone: tzinfo) -> None:
        template = cron_job["spec"]["jobTemplate"]
        metadata = template.get("metadata") or {}
        stamp = datetime.fromtimestamp(due, zone).isoformat().replace("+00:00", "Z")
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": namespace_of(cron_job),
                "labels": metadata.get("labels") or {},
                "annotations": {**(metadata.get("annotations") or {}), _SCHEDULED: stamp},
                "ownerReferences": [controller_reference(cron_job, "batch/v1", "CronJob")],
            },
            "spec": template["spec"],
        }
        resource = self._client.resource(JOBS, namespace_of(cron_job))
        try:
            created = await resource.create(copy_object(job))
        except AlreadyExists:
            created = await resource.get(name)
            if (controller_of(created) or {}).get("uid") != uid_of(cron_job):
                return
        except APIStatusError as error:
            if is_namespace_terminating(error):
                return
            self._event(cron_job, "FailedCreate", f"Error creating job: {error}", "Warning")
            raise
        else:
            self._event(cron_job, "SuccessfulCreate", f"Created job {name}")
        reference = {"kind": "Job", "namespace": namespace_of(cron_job), "name": name, "uid": uid_of(created)}
        reference["apiVersion"] = "batch/v1"
        if version := created["metadata"].get("resourceVersion"):
            reference["resourceVersion"] = version
        cron_job["status"]["active"].append(reference)
        cron_job["status"]["lastScheduleTime"] = times.format_time(due)

    async def _clean_up(self, cron_job: Object, jobs: Sequence[Object]) -> None:
        """Delete the oldest finished Jobs over the history limits."""
        spec = cron_job["spec"]
        for type_, limit in (
            ("Complete", spec.get("successfulJobsHistoryLimit", 3)),
            ("Failed", spec.get("failedJobsHistoryLimit", 1)),
        ):
            ended = [job for job in jobs if (condition(job.get("status") or {}, type_) or {}).get("status") == "True"]
            ended.sort(key=lambda job: ((job["status"].get("startTime") or ""), name_of(job)))
            for job in ended[: max(len(ended) - limit, 0)]:
                try:
                    resource = self._client.resource(JOBS, namespace_of(job))
                    await resource.delete(name_of(job), propagation="Background")
                except NotFound:
                    continue
                self._event(cron_job, "SuccessfulDelete", f"Deleted job {name_of(job)}")


def _owner_uid(item: Stored) -> tuple[str, ...]:
    owner = controller_of(item.object)
    return (owner["uid"],) if owner is not None and owner["kind"] == "CronJob" else ()
