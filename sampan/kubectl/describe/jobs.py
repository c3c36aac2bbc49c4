"""Describing Jobs and CronJobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.tables.text import human_duration
from sampan.kubectl.describe.events import events_of, write_events
from sampan.kubectl.describe.pod import write_template
from sampan.kubectl.describe.writer import UNSET, controlled_by, rfc1123, selector_text, true_false

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.kubectl.describe.writer import Writer
    from sampan.kubectl.session import Session


async def describe_job(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a Job."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.write(0, f"Name:\t{meta['name']}\nNamespace:\t{meta['namespace']}\n")
    if spec.get("selector") is not None:
        writer.write(0, f"Selector:\t{selector_text(spec['selector'])}\n")
    writer.labels("Labels", meta.get("labels"))
    writer.annotations("Annotations", meta.get("annotations"))
    if owner := controlled_by(obj):
        writer.write(0, f"Controlled By:\t{owner}\n")
    _write_spec(writer, spec)
    if status.get("startTime"):
        writer.write(0, f"Start Time:\t{rfc1123(status['startTime'])}\n")
    if status.get("completionTime"):
        writer.write(0, f"Completed At:\t{rfc1123(status['completionTime'])}\n")
        if status.get("startTime"):
            seconds = times.parse(status["completionTime"]) - times.parse(status["startTime"])
            writer.write(0, f"Duration:\t{human_duration(seconds)}\n")
    if spec.get("activeDeadlineSeconds") is not None:
        writer.write(0, f"Active Deadline Seconds:\t{spec['activeDeadlineSeconds']}s\n")
    _write_counts(writer, status)
    if spec.get("completionMode") == "Indexed":
        indexes = status.get("completedIndexes", "")
        shown = indexes if len(indexes) <= 50 else indexes[: indexes[:50].rfind(",") + 1] + "..."
        writer.write(0, f"Completed Indexes:\t{shown or '<none>'}\n")
    write_template(writer, spec.get("template"))
    write_events(writer, found)


def _write_spec(writer: Writer, spec: Object) -> None:
    writer.write(0, f"Parallelism:\t{spec.get('parallelism', UNSET)}\n")
    writer.write(0, f"Completions:\t{spec.get('completions', UNSET)}\n")
    if spec.get("completionMode"):
        writer.write(0, f"Completion Mode:\t{spec['completionMode']}\n")
    if spec.get("suspend") is not None:
        writer.write(0, f"Suspend:\t{str(spec['suspend']).lower()}\n")
    if spec.get("backoffLimit") is not None:
        writer.write(0, f"Backoff Limit:\t{spec['backoffLimit']}\n")
    if spec.get("ttlSecondsAfterFinished") is not None:
        writer.write(0, f"TTL Seconds After Finished:\t{spec['ttlSecondsAfterFinished']}\n")


def _write_counts(writer: Writer, status: Object) -> None:
    active, succeeded, failed = (status.get(field, 0) for field in ("active", "succeeded", "failed"))
    ready = f" ({status['ready']} Ready)" if status.get("ready") is not None else ""
    writer.write(0, f"Pods Statuses:\t{active} Active{ready} / {succeeded} Succeeded / {failed} Failed\n")


async def describe_cron_job(session: Session, writer: Writer, obj: Object, *, events: bool) -> None:
    """Describe a CronJob."""
    spec, status = obj["spec"], obj.get("status") or {}
    found = await events_of(session, obj) if events else None
    writer.metadata(obj)
    writer.write(0, f"Schedule:\t{spec['schedule']}\n")
    writer.write(0, f"Concurrency Policy:\t{spec.get('concurrencyPolicy', '')}\n")
    writer.write(0, f"Suspend:\t{true_false(spec.get('suspend'))}\n")
    writer.write(0, f"Time Zone:\t{spec.get('timeZone', UNSET)}\n")
    writer.write(0, f"Successful Job History Limit:\t{spec.get('successfulJobsHistoryLimit', UNSET)}\n")
    writer.write(0, f"Failed Job History Limit:\t{spec.get('failedJobsHistoryLimit', UNSET)}\n")
    deadline = spec.get("startingDeadlineSeconds")
    writer.write(0, f"Starting Deadline Seconds:\t{UNSET if deadline is None else f'{deadline}s'}\n")
    job = spec["jobTemplate"]["spec"]
    selector = job.get("selector")
    writer.write(0, f"Selector:\t{UNSET if selector is None else selector_text(selector)}\n")
    writer.write(0, f"Parallelism:\t{job.get('parallelism', UNSET)}\n")
    writer.write(0, f"Completions:\t{job.get('completions', UNSET)}\n")
    if job.get("activeDeadlineSeconds") is not None:
        writer.write(0, f"Active Deadline Seconds:\t{job['activeDeadlineSeconds']}s\n")
    write_template(writer, job.get("template"))
    last = status.get("lastScheduleTime")
    writer.write(0, f"Last Schedule Time:\t{rfc1123(last) if last else UNSET}\n")
    active = ", ".join(one["name"] for one in status.get("active") or [])
    writer.write(0, f"Active Jobs:\t{active or '<none>'}\n")
    write_events(writer, found)
