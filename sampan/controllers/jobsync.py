"""One round over one Job: what is finished, what is to be started or stopped, what is counted. See `job`.

A pod carries a finalizer until it is counted. Counting has three steps, each durable before the next: its uid goes to
status.uncountedTerminatedPods, the finalizer is removed, the uid gives way to the counter. So no crash counts twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.object import name_of, uid_of
from sampan.api.pods import is_active, is_ready, is_terminal, phase_of
from sampan.client.item import copy_object
from sampan.controllers import jobrules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.api.object import Object

UNCOUNTED_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Finish:
    """How a Job ends: the interim condition and the final one share reason and message."""

    succeeded: bool
    reason: str
    message: str

    @property
    def interim(self) -> str:
        return "SuccessCriteriaMet" if self.succeeded else "FailureTarget"

    @property
    def final(self) -> str:
        return "Complete" if self.succeeded else "Failed"


@dataclass(slots=True)
class Backoff:
    """Failures since the last success, and when the last was."""

    failures: int = 0
    last: float = 0.0

    def after(self, succeeded: Sequence[Object], failed: Sequence[Object]) -> Backoff:
        """The record with further pods' ends added."""
        last_success = max((jobrules.finished_at(pod) for pod in succeeded), default=None)
        ends = [jobrules.finished_at(pod) for pod in failed]
        if last_success is not None:
            ends = [end for end in ends if end > last_success]
            return Backoff(len(ends), max(ends, default=0.0))
        return Backoff(self.failures + len(ends), max([self.last, *ends]))

    def wait(self, now: float) -> float:
        """Seconds until the next pod may be made."""
        return max(self.last + jobrules.backoff(self.failures) - now, 0.0)


@dataclass(slots=True)
class JobState:
    """A Job and its pods as one round sees them. job: the round's copy; removing: uids whose finalizer is gone."""

    job: Object
    pods: Sequence[Object]
    removing: set[str]
    backoff: Backoff
    now: float
    active: list[Object] = field(default_factory=list)
    ready: int = 0
    terminating: int = 0
    succeeded: int = 0
    failed: int = 0
    counted_indexes: set[int] = field(default_factory=set)
    succeeded_indexes: set[int] = field(default_factory=set)
    failed_indexes: set[int] | None = None
    delayed: dict[int, Object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        job, status = self.job, self.status
        status.setdefault("uncountedTerminatedPods", {})
        self.active = [pod for pod in self.pods if is_active(pod)]
        self.ready = sum(is_ready(pod) for pod in self.active)
        self.terminating = sum("deletionTimestamp" in pod["metadata"] and not is_terminal(pod) for pod in self.pods)
        succeeded = self._fresh("succeeded", lambda pod: phase_of(pod) == "Succeeded")
        failed = self._fresh("failed", lambda pod: jobrules.has_failed(pod, job))
        counting = [pod for pod in failed if jobrules.match_failure_policy(job, pod)[1]]
        uncounted = status["uncountedTerminatedPods"]
        self.succeeded = status.get("succeeded", 0) + len(succeeded) + len(uncounted.get("succeeded") or ())
        self.failed = status.get("failed", 0) + len(counting) + len(uncounted.get("failed") or ())
        self.backoff = self.backoff.after(succeeded, failed)
        if jobrules.is_indexed(job):
            self._read_indexes()

    @property
    def status(self) -> Object:
        status: Object = self.job.setdefault("status", {})
        return status

    @property
    def completions(self) -> int | None:
        completions: int | None = self.job["spec"].get("completions")
        return completions

    def uncounted(self, key: str) -> list[str]:
        """Uids that are in the status but not in a counter yet."""
        found: list[str] = self.status["uncountedTerminatedPods"].setdefault(key, [])
        return found

    def is_tracked(self, pod: Object) -> bool:
        """Whether a pod has its finalizer, as far as we know."""
        return jobrules.is_tracked(pod) and uid_of(pod) not in self.removing

    def index(self, pod: Object) -> int | None:
        """A pod's index if it is one of the Job's."""
        index = jobrules.index_of(pod)
        return index if index is not None and index < (self.completions or 0) else None

    def _fresh(self, key: str, matches: object) -> list[Object]:
        known = set(self.uncounted(key))
        found = []
        for pod in self.pods:
            if not self.is_tracked(pod) or uid_of(pod) in known:
                continue
            if jobrules.is_indexed(self.job) and self.index(pod) is None:
                continue
            if matches(pod):  # type: ignore[operator]
                found.append(pod)
        return found

    def _read_indexes(self) -> None:
        completions = self.completions or 0
        self.counted_indexes = jobrules.parse_indexes(self.status.get("completedIndexes", ""), completions)
        self.succeeded_indexes = set(self.counted_indexes)
        for pod in self.pods:
            index = self.index(pod)
            if index is not None and phase_of(pod) == "Succeeded" and self.is_tracked(pod):
                self.succeeded_indexes.add(index)
        self.succeeded = len(self.succeeded_indexes)
        if self.job["spec"].get("backoffLimitPerIndex") is None:
            return
        self.failed_indexes = jobrules.parse_indexes(self.status.get("failedIndexes", ""), completions)
        for pod in self.pods:
            index = self.index(pod)
            if index is not None and self.is_tracked(pod) and jobrules.fails_index(pod, self.job):
                self.failed_indexes.add(index)
        self._delay_deletions()

    def _delay_deletions(self) -> None:
        """A failed pod stays until its replacement carries its index's failures on."""
        assert self.failed_indexes is not None
        carried: dict[int, int] = {}
        for pod in self.pods:
            index = self.index(pod)
            if index is not None:
                total = sum(jobrules.index_failures(pod))
                carried[index] = max(carried.get(index, -1), total)
        for pod in self.pods:
            index = self.index(pod)
            if index is None or not self.is_tracked(pod) or not jobrules.has_failed(pod, self.job):
                continue
            if index in self.failed_indexes or index in self.succeeded_indexes:
                continue
            if sum(jobrules.index_failures(pod)) == carried[index]:
                self.delayed[index] = pod

    def finish(self) -> Finish | None:
        """How the Job ends, if it does."""
        for type_, succeeded in (("SuccessCriteriaMet", True), ("FailureTarget", False)):
            found = condition(self.status, type_)
            if found is not None and found["status"] == "True":
                return Finish(succeeded, found.get("reason", ""), found.get("message", ""))
        return self._failure() or self._index_finish()

    def _failure(self) -> Finish | None:
        spec = self.job["spec"]
        for pod in self.pods:
            if spec.get("podFailurePolicy") and jobrules.has_failed(pod, self.job):
                message = jobrules.match_failure_policy(self.job, pod)[0]
                if message:
                    return Finish(succeeded=False, reason="PodFailurePolicy", message=message)
        limit = spec.get("backoffLimit", 6)
        if self.failed > limit or self._restarted_too_often(limit):
            return Finish(
                succeeded=False, reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit"
            )
        left = self.deadline_in()
        if left is not None and left <= 0:
            return Finish(
                succeeded=False, reason="DeadlineExceeded", message="Job was active longer than specified deadline"
            )
        return None

    def _restarted_too_often(self, limit: int) -> bool:
        if self.job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
            return False
        total = jobrules.restarts(self.pods)
        return total > 0 if limit == 0 else total >= limit

    def _index_finish(self) -> Finish | None:
        if not jobrules.is_indexed(self.job):
            return None
        spec = self.job["spec"]
        if self.failed_indexes is not None:
            most = spec.get("maxFailedIndexes")
            if most is not None and len(self.failed_indexes) > most:
                message = "Job has exceeded the specified maximal number of failed indexes"
                return Finish(succeeded=False, reason="MaxFailedIndexesExceeded", message=message)
            ended = len(self.failed_indexes) + len(self.succeeded_indexes)
            if self.failed_indexes and ended >= (self.completions or 0):
                return Finish(succeeded=False, reason="FailedIndexes", message="Job has failed indexes")
        message = jobrules.match_success_policy(self.job, self.succeeded_indexes)
        return Finish(succeeded=True, reason="SuccessPolicy", message=message) if message else None

    def deadline_in(self) -> float | None:
        """Seconds until activeDeadlineSeconds have passed; None without a deadline."""
        seconds, start = self.job["spec"].get("activeDeadlineSeconds"), self.status.get("startTime")
        if seconds is None or start is None or self.job["spec"].get("suspend"):
            return None
        return float(times.parse(start) + seconds - self.now)

    def is_complete(self, active: int) -> bool:
        """Whether enough pods succeeded and none is active."""
        if active:
            return False
        completions = self.completions
        return self.succeeded > 0 if completions is None else self.succeeded >= completions

    def wanted_active(self) -> int:
        """How many pods should be active."""
        parallelism: int = self.job["spec"].get("parallelism", 1)
        if self.completions is None:
            return len(self.active) if self.succeeded > 0 else parallelism
        return max(min(self.completions - self.succeeded, parallelism), 0)

    def surplus(self, at_least: int) -> list[Object]:
        """Pods to remove: of indexed Jobs those without a right index and duplicates, then the least advanced."""
        removed: list[Object] = []
        left = sorted(self.active, key=_progress)
        if jobrules.is_indexed(self.job):
            kept: dict[int, Object] = {}
            for pod in left:
                index = self.index(pod)
                if index is None:
                    removed.append(pod)
                    continue
                if index in kept:
                    removed.append(kept[index])  # the one that got less far
                kept[index] = pod
            left = sorted(kept.values(), key=_progress)
        return [*removed, *left[: max(at_least - len(removed), 0)]]

    def pending_indexes(self, count: int) -> list[int]:
        """The first indexes that need a pod."""
        taken = self.succeeded_indexes | (self.failed_indexes or set())
        for pod in self.pods:
            index = self.index(pod)
            waits = jobrules.only_failed_are_replaced(self.job) and not is_terminal(pod)
            if index is not None and (is_active(pod) or waits):
                taken.add(index)
        found: list[int] = []
        for index in range(self.completions or 0):
            if len(found) == count:
                break
            if index not in taken:
                found.append(index)
        return found

    def index_wait(self, index: int) -> float:
        """Seconds until an index may be tried again."""
        pod = self.delayed.get(index)
        if pod is None:
            return 0.0
        failures = jobrules.index_failures_after(self.job, pod)[0]
        return max(jobrules.finished_at(pod) + jobrules.backoff(failures) - self.now, 0.0)

    def collect_counted(self, tracked: set[str]) -> bool:
        """Count the pods that have lost their finalizer; return whether any was."""
        changed = False
        for key in ("succeeded", "failed"):
            uids = self.uncounted(key)
            kept = [uid for uid in uids if uid in tracked]
            if len(kept) != len(uids):
                self.status[key] = self.status.get(key, 0) + len(uids) - len(kept)
                self.status["uncountedTerminatedPods"][key] = kept
                changed = True
        return changed

    def count(self, finish: Finish | None) -> tuple[list[Object], bool, bool]:
        """Note finished pods in the status: (pods whose finalizer may go, whether it changed, whether more wait)."""
        changed, reached = False, False
        removable: list[Object] = []
        new_indexes: set[int] = set()
        ordered = sorted(self.pods, key=lambda pod: self.index(pod) or 0) if self.completions else list(self.pods)
        for pod in ordered:
            if not self.is_tracked(pod):
                continue
            failed = jobrules.has_failed(pod, self.job)
            if not self._may_be_released(pod, finish, failed=failed):
                continue
            removable.append(pod)
            changed = self._note(pod, finish, new_indexes, failed=failed) or changed
            noted = len(new_indexes) + len(self.uncounted("succeeded")) + len(self.uncounted("failed"))
            if noted >= UNCOUNTED_LIMIT:
                reached = True
                break
        if jobrules.is_indexed(self.job):
            changed = self._note_indexes(new_indexes) or changed
        return removable, changed, reached

    def _may_be_released(self, pod: Object, finish: Finish | None, *, failed: bool) -> bool:
        if "deletionTimestamp" in self.job["metadata"] or finish is not None or phase_of(pod) == "Succeeded":
            return True
        if not failed:
            return False
        index = self.index(pod)
        return index is None or self.delayed.get(index) is None or uid_of(self.delayed[index]) != uid_of(pod)

    def _note(self, pod: Object, finish: Finish | None, new_indexes: set[int], *, failed: bool) -> bool:
        uid, index = uid_of(pod), self.index(pod)
        indexed = jobrules.is_indexed(self.job)
        if phase_of(pod) == "Succeeded" and uid not in self.uncounted("failed"):
            if indexed:
                if index is None or index in self.counted_indexes or index in new_indexes:
                    return False
                new_indexes.add(index)
                return True
            if uid in self.uncounted("succeeded"):
                return False
            self.uncounted("succeeded").append(uid)
            return True
        ended = failed or (finish is not None and not finish.succeeded)
        if not ended or uid in self.uncounted("failed") or (indexed and index is None):
            return False
        if not jobrules.match_failure_policy(self.job, pod)[1]:
            return False
        self.uncounted("failed").append(uid)
        return True

    def _note_indexes(self, new_indexes: set[int]) -> bool:
        self.counted_indexes |= new_indexes
        before = (self.status.get("completedIndexes"), self.status.get("failedIndexes"))
        text = jobrules.format_indexes(self.counted_indexes)
        self.status["succeeded"] = len(self.counted_indexes)
        if text or "completedIndexes" in self.status:
            self.status["completedIndexes"] = text
        if self.failed_indexes is not None:
            self.status["failedIndexes"] = jobrules.format_indexes(self.failed_indexes)
        return before != (self.status.get("completedIndexes"), self.status.get("failedIndexes"))


def condition(status: Object, type_: str) -> Object | None:
    """Return a Job's condition."""
    return next((one for one in status.get("conditions") or () if one["type"] == type_), None)


def set_condition(status: Object, type_: str, value: str, reason: str, message: str, *, now: float) -> bool:
    """Set a condition; from nothing to False means nothing. Returns whether it changed."""
    current = condition(status, type_)
    if current is None and value == "False":
        return False
    if current is not None and (current["status"], current.get("reason"), current.get("message")) == (
        value,
        reason,
        message,
    ):
        return False
    stamp = times.format_time(now)
    fresh: Object = {"type": type_, "status": value, "lastProbeTime": stamp, "lastTransitionTime": stamp}
    if reason:
        fresh["reason"] = reason
    if message:
        fresh["message"] = message
    status["conditions"] = [one for one in status.get("conditions") or () if one["type"] != type_] + [fresh]
    return True


def is_finished(job: Object) -> bool:
    """Whether a Job is complete or failed."""
    status = job.get("status") or {}
    return any((condition(status, type_) or {}).get("status") == "True" for type_ in ("Complete", "Failed"))


def pod_for(state: JobState, template: Object, index: int | None) -> Object:
    """The template of a pod to make: tracked, and of an index if the Job has such."""
    made = copy_object(template)
    metadata = made.setdefault("metadata", {})
    finalizers = metadata.setdefault("finalizers", [])
    if jobrules.FINALIZER not in finalizers:
        finalizers.append(jobrules.FINALIZER)
    if index is not None:
        jobrules.indexed_template(state.job, made, index)
        if state.failed_indexes is not None:
            before = state.delayed.get(index)
            counted, ignored = (0, 0) if before is None else jobrules.index_failures_after(state.job, before)
            metadata["annotations"][jobrules.FAILURE_COUNT] = str(counted)
            if ignored:
                metadata["annotations"][jobrules.IGNORED_COUNT] = str(ignored)
    return made


def generate_name(job: Object, index: int | None) -> str:
    """The prefix of a pod's name."""
    return f"{name_of(job)}-" if index is None else f"{name_of(job)}-{index}-"


def _progress(pod: Object) -> tuple[bool, int, bool, str]:
    order = {"Pending": 0, "Unknown": 1, "Running": 2}.get(phase_of(pod), 0)
    return (bool((pod.get("spec") or {}).get("nodeName")), order, is_ready(pod), pod["metadata"]["creationTimestamp"])
