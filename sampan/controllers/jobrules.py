"""The rules of Jobs: completion indexes, failure and success policies, back-off. Pure functions over objects.

Behaviour: kube-controller-manager's pkg/controller/job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import times
from sampan.api.object import annotations_of, name_of, namespace_of
from sampan.api.pods import phase_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.api.object import Object

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURE_COUNT = "batch.kubernetes.io/job-index-failure-count"
IGNORED_COUNT = "batch.kubernetes.io/job-index-ignored-failure-count"
_FIRST_BACKOFF, _LAST_BACKOFF = 10.0, 600.0


def parse_indexes(text: str, completions: int) -> set[int]:
    """Read ``1,3-5``; indexes from completions on are left out."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), min(int(last or first), completions - 1) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """Write ``1,3-5``; two neighbours are written ``3,4``."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    texts = [str(a) if a == b else f"{a},{b}" if b == a + 1 else f"{a}-{b}" for a, b in runs]
    return ",".join(texts)


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Object) -> int | None:
    """A pod's completion index; None when it has none."""
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isdecimal() else None


def is_tracked(pod: Object) -> bool:
    """Whether the pod still waits to be counted."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def only_failed_are_replaced(job: Object) -> bool:
    """Whether terminating pods are waited for before they are replaced."""
    return bool(job["spec"].get("podReplacementPolicy") == "Failed")


def has_failed(pod: Object, job: Object) -> bool:
    """Whether a pod counts as failed: it did, or it is going away (unless its real end is waited for)."""
    if phase_of(pod) == "Failed":
        return True
    return not only_failed_are_replaced(job) and "deletionTimestamp" in pod["metadata"] and phase_of(pod) != "Succeeded"


def match_failure_policy(job: Object, pod: Object) -> tuple[str, bool, str]:
    """Apply spec.podFailurePolicy: (message that fails the Job or "", whether the failure counts, the action)."""
    for number, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        message = _matches_exit_codes(rule, pod, number) or _matches_conditions(rule, pod, number)
        if message:
            action = rule["action"]
            return (message if action == "FailJob" else "", action != "Ignore", action)
    return "", True, ""


def _matches_exit_codes(rule: Object, pod: Object, number: int) -> str:
    wanted = rule.get("onExitCodes")
    if not wanted:
        return ""
    status = pod.get("status") or {}
    for one in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        terminated = (one.get("state") or {}).get("terminated") or {}
        code = terminated.get("exitCode", 0)
        if not code or wanted.get("containerName") not in (None, "", one["name"]):
            continue
        if (code in wanted["values"]) == (wanted["operator"] == "In"):
            place = f"{namespace_of(pod)}/{name_of(pod)}"
            return (
                f"Container {one['name']} for pod {place} failed with exit code {code} "
                f"matching {rule['action']} rule at index {number}"
            )
    return ""


def _matches_conditions(rule: Object, pod: Object, number: int) -> str:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    for pattern in rule.get("onPodConditions") or ():
        for one in conditions:
            if (one["type"], one["status"]) == (pattern["type"], pattern.get("status", "True")):
                place = f"{namespace_of(pod)}/{name_of(pod)}"
                return f"Pod {place} has condition {one['type']} matching {rule['action']} rule at index {number}"
    return ""


def match_success_policy(job: Object, succeeded: set[int]) -> str:
    """The message when spec.successPolicy is met, else ""."""
    completions = job["spec"].get("completions", 0)
    for number, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        count = rule.get("succeededCount")
        if rule.get("succeededIndexes") is None:
            met = count is not None and len(succeeded) >= count
        else:
            wanted = parse_indexes(rule["succeededIndexes"], completions)
            met = wanted <= succeeded if count is None else len(wanted & succeeded) >= count
        if met:
            return f"Matched rules at index {number}"
    return ""


def index_failures(pod: Object) -> tuple[int, int]:
    """How often the index of a pod failed before it: counted and ignored failures."""
    annotations = annotations_of(pod)
    counted, ignored = annotations.get(FAILURE_COUNT, ""), annotations.get(IGNORED_COUNT, "")
    return (int(counted) if counted.isdecimal() else 0, int(ignored) if ignored.isdecimal() else 0)


def index_failures_after(job: Object, pod: Object) -> tuple[int, int]:
    """The same, this pod's own failure included."""
    counted, ignored = index_failures(pod)
    _, counts, _ = match_failure_policy(job, pod)
    return (counted + 1, ignored) if counts else (counted, ignored + 1)


def fails_index(pod: Object, job: Object) -> bool:
    """Whether a pod's failure is the last that its index may have."""
    if not has_failed(pod, job):
        return False
    _, counts, action = match_failure_policy(job, pod)
    if action == "FailIndex":
        return True
    return counts and index_failures(pod)[0] >= job["spec"]["backoffLimitPerIndex"]


def finished_at(pod: Object) -> float:
    """When a pod ended, as well as its status tells. Epoch seconds."""
    status = pod.get("status") or {}
    ends = []
    for one in status.get("containerStatuses") or ():
        end = ((one.get("state") or {}).get("terminated") or {}).get("finishedAt")
        if end:
            ends.append(times.parse(end))
    if ends:
        return max(ends)
    ready = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), None)
    if ready is not None and ready.get("lastTransitionTime"):
        return times.parse(ready["lastTransitionTime"])
    metadata = pod["metadata"]
    return times.parse(metadata.get("deletionTimestamp") or metadata["creationTimestamp"])


def backoff(failures: int) -> float:
    """Seconds between a failure and the next pod: 10, doubled per failure, at most 600."""
    return 0.0 if failures <= 0 else min(_FIRST_BACKOFF * 2.0 ** min(failures - 1, 30), _LAST_BACKOFF)


def restarts(pods: Sequence[Object]) -> int:
    """Restarts of all containers of running and pending pods."""
    total = 0
    for pod in pods:
        if phase_of(pod) in ("Running", "Pending"):
            status = pod["status"]
            for key in ("initContainerStatuses", "containerStatuses"):
                total += sum(one.get("restartCount", 0) for one in status.get(key) or ())
    return total


def indexed_template(job: Object, template: Object, index: int) -> None:
    """Make a pod built from the Job's template the pod of an index."""
    metadata, spec = template["metadata"], template["spec"]
    metadata.setdefault("annotations", {})[INDEX] = str(index)
    metadata.setdefault("labels", {})[INDEX] = str(index)
    spec["hostname"] = f"{name_of(job)}-{index}"
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        environment = container.setdefault("env", [])
        if all(one["name"] != "JOB_COMPLETION_INDEX" for one in environment):
            environment.append({"name": "JOB_COMPLETION_INDEX", "valueFrom": source})
