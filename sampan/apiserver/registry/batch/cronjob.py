"""CronJobs (pkg/registry/batch/cronjob)."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.batch import jobrules
from sampan.apiserver.registry.batch.job import default_job_spec, job_warnings
from sampan.apiserver.registry.batch.schedule import ScheduleError, check_schedule, is_time_zone
from sampan.apiserver.registry.core.podspec.options import options_for
from sampan.apiserver.registry.core.replication import name_warnings
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names, numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_JOB = _SPEC.child("jobTemplate", "spec")
_ZONE = re.compile(r"[A-Za-z\.\-_]{1,14}|[A-Za-z0-9\.\-_+/]+")
_NAME_LIMIT = 63 - 11
"""Jobs are called after the cron job, with a dash and a timestamp of ten digits."""


class CronJobStrategy(Strategy):
    """Cron jobs."""

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("concurrencyPolicy"):
            spec["concurrencyPolicy"] = "Allow"
        spec.setdefault("suspend", False)
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)
        job = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
        for rule in (job.get("podFailurePolicy") or {}).get("rules") or ():
            for one in rule.get("onPodConditions") or ():
                if not one.get("status"):
                    one["status"] = "True"
        default_job_spec(job)

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        _spec(errors, obj["spec"], None)
        name = obj["metadata"].get("name", "")
        if len(name) > _NAME_LIMIT:
            detail = f"must be no more than {_NAME_LIMIT} characters"
            errors.insert(0, field.invalid(Path("metadata").child("name"), name, detail))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        _spec(errors, new["spec"], old["spec"])
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = name_warnings(obj) + job_warnings(_JOB, obj["spec"]["jobTemplate"].get("spec") or {})
        return found + _zone_warnings(obj["spec"])

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        if ctx.subresource:
            return []
        found = []
        if new["spec"] != old["spec"]:
            found = job_warnings(_JOB, new["spec"]["jobTemplate"].get("spec") or {})
        return found + _zone_warnings(new["spec"])


def _zone_warnings(spec: Object) -> list[str]:
    if "TZ" in spec.get("schedule", ""):
        return [
            (
                "CRON_TZ or TZ used in spec.schedule is not officially supported, see "
                "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            )
        ]
    return []


def _spec(errors: Errors, spec: Object, old: Object | None) -> None:
    schedule, zone = spec.get("schedule", ""), spec.get("timeZone")
    where = _SPEC.child("schedule")
    if not schedule:
        errors.append(field.required(where))
    else:
        _schedule(errors, where, schedule, zone, allow_zone=old is not None and "TZ" in old.get("schedule", ""))
    numbers.nonnegative_fields(errors, _SPEC, spec, "startingDeadlineSeconds")
    if old is None or zone != old.get("timeZone"):
        _time_zone(errors, _SPEC.child("timeZone"), zone)
    policies = ("Allow", "Forbid", "Replace")
    names.one_of_required(errors, _SPEC.child("concurrencyPolicy"), spec.get("concurrencyPolicy", ""), policies)
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    before = ((((old or {}).get("jobTemplate") or {}).get("spec") or {}).get("template") or {}).get("spec")
    jobrules.job_spec(errors, _JOB, job, options_for(before, pod=False))
    if job.get("selector") is not None:
        errors.append(field.invalid(_JOB.child("selector"), job["selector"], "`selector` will be auto-generated"))
    if job.get("manualSelector"):
        errors.append(field.not_supported(_JOB.child("manualSelector"), True, ("nil", "false")))
    numbers.nonnegative_fields(errors, _SPEC, spec, "successfulJobsHistoryLimit", "failedJobsHistoryLimit")


def _schedule(errors: Errors, path: Path, schedule: str, zone: str | None, *, allow_zone: bool) -> None:
    try:
        check_schedule(schedule)
    except ScheduleError as error:
        errors.append(field.invalid(path, schedule, str(error)))
    if "TZ" not in schedule:
        return
    if not allow_zone:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        errors.append(field.invalid(path, schedule, detail))
    elif zone is not None:
        errors.append(field.invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))


def _time_zone(errors: Errors, path: Path, zone: str | None) -> None:
    if zone is None:
        return
    if not zone:
        errors.append(field.invalid(path, zone, "timeZone must be nil or non-empty string"))
        return
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or _ZONE.fullmatch(part) is None:
            errors.append(field.invalid(path, zone, f"unknown time zone {zone}"))
            return
    if zone.lower() == "local":
        errors.append(
            field.invalid(
                path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
            )
        )
    elif not is_time_zone(zone):
        errors.append(field.invalid(path, zone, f"unknown time zone {zone}"))
