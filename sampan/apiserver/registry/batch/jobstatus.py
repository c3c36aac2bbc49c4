"""Status of jobs: which combinations a controller may report (``ValidateJobStatus`` and its update form)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field, times
from sampan.api.field import Path
from sampan.apiserver.registry.batch.jobrules import is_indexed
from sampan.apiserver.registry.validation import numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_STATUS = Path("status")
_CONDITIONS = _STATUS.child("conditions")
_EXCLUSIVE = (
    ("Complete", "Failed"), ("Complete", "FailureTarget"), ("SuccessCriteriaMet", "Failed"),
    ("SuccessCriteriaMet", "FailureTarget"),
)  # fmt: skip


def _true(status: Object) -> set[str]:
    return {one.get("type", "") for one in status.get("conditions") or () if one.get("status") == "True"}


def status_update(errors: Errors, new: Object, old: Object) -> None:
    """new, old: the jobs."""
    status, before = new.get("status") or {}, old.get("status") or {}
    numbers.nonnegative_fields(errors, _STATUS, status, "active", "succeeded", "failed", "ready", "terminating")
    _uncounted(errors, status)
    if status == before:
        return
    now, was = _true(status), _true(before)
    _times(errors, status, before, now)
    _conditions(errors, now, was)
    _counts(errors, new, status, before, now)


def _uncounted(errors: Errors, status: Object) -> None:
    pods = status.get("uncountedTerminatedPods")
    if pods is None:
        return
    path = _STATUS.child("uncountedTerminatedPods")
    seen: set[str] = set()
    for kind in ("succeeded", "failed"):
        for position, uid in enumerate(pods.get(kind) or ()):
            where = path.child(kind).index(position)
            if not uid:
                errors.append(field.invalid(where, uid, "must not be empty"))
            elif uid in seen:
                errors.append(field.duplicate(where, uid))
            seen.add(uid)


def _times(errors: Errors, status: Object, before: Object, now: set[str]) -> None:
    completed, started = status.get("completionTime"), status.get("startTime")
    finished = now & {"Complete", "Failed"}
    if "Complete" in now and not completed:
        where = _STATUS.child("completionTime")
        errors.append(field.required(where, "completionTime is required for Complete jobs"))
    if completed and "Complete" not in now:
        where = _STATUS.child("completionTime")
        errors.append(
            field.invalid(where, completed, "cannot set completionTime when there is no Complete=True condition")
        )
    if before.get("completionTime") and completed != before["completionTime"]:
        errors.append(field.invalid(_STATUS.child("completionTime"), completed, "field is immutable"))
    if completed and started and times.parse(completed) < times.parse(started):
        detail = "completionTime cannot be set before startTime"
        errors.append(field.invalid(_STATUS.child("completionTime"), completed, detail))
    if finished and not started:
        errors.append(field.required(_STATUS.child("startTime"), "startTime is required for finished job"))


def _conditions(errors: Errors, now: set[str], was: set[str]) -> None:
    for one, other in _EXCLUSIVE:
        if one in now and other in now:
            errors.append(_plain(f"cannot set {one}=True and {other}=true conditions"))
    if "Failed" in now and "FailureTarget" not in now:
        errors.append(_plain("cannot set Failed=True condition without the FailureTarget=true condition"))
    if "Complete" in now and "SuccessCriteriaMet" not in now:
        errors.append(_plain("cannot set Complete=True condition without the SuccessCriteriaMet=true condition"))
    for kind in ("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"):
        if kind in was and kind not in now:
            errors.append(_plain(f"cannot disable the terminal {kind}=True condition"))


def _plain(detail: str) -> field.FieldError:
    """An "Invalid value" of which only the explanation is shown: upstream reports the error itself."""
    return _DetailError(_CONDITIONS, detail)


class _DetailError(field.FieldError):
    __slots__ = ()

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__("Invalid value", path, "", detail)

    def body(self) -> str:
        return f"{self.kind}: {self.detail}"


def _counts(errors: Errors, job: Object, status: Object, before: Object, now: set[str]) -> None:
    finished = bool(now & {"Complete", "Failed"})
    if finished:
        for key in ("active", "terminating", "ready"):
            if status.get(key):
                detail = f"{key}>0 is invalid for finished job"
                errors.append(field.invalid(_STATUS.child(key), status[key], detail))
    pods = status.get("uncountedTerminatedPods") or {}
    if finished and any(pods.get(kind) for kind in ("succeeded", "failed")):
        detail = "uncountedTerminatedPods needs to be empty for finished job"
        errors.append(field.invalid(_STATUS.child("uncountedTerminatedPods"), pods, detail))
    if status.get("ready", 0) > status.get("active", 0):
        errors.append(field.invalid(_STATUS.child("ready"), status["ready"], "cannot set more ready pods than active"))
    for key in ("succeeded", "failed"):
        if status.get(key, 0) < before.get(key, 0):
            where = _STATUS.child(key)
            errors.append(field.invalid(where, status.get(key, 0), f"cannot decrease {key} counter"))
    for key in ("completedIndexes", "failedIndexes"):
        if status.get(key) and not is_indexed(job["spec"]):
            detail = f"cannot set non-empty {key} when non-indexed completion mode"
            errors.append(field.invalid(_STATUS.child(key), status[key], detail))
