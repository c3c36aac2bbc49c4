"""Rows of controllers: workloads, jobs, autoscalers, budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import times
from sampan.api.tables.text import NONE, UNKNOWN, age, containers, human_duration, labels, selector, since

if TYPE_CHECKING:
    from sampan.api.object import Object


def _parts(obj: Object) -> tuple[str, Object, Object]:
    return obj["metadata"].get("name", ""), obj.get("spec") or {}, obj.get("status") or {}


def replication_controller(obj: Object, now: float) -> list[Any]:
    name, spec, status = _parts(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [name, *counts, age(obj, now), *containers(spec.get("template")), labels(spec.get("selector"))]


def replica_set(obj: Object, now: float) -> list[Any]:
    name, spec, status = _parts(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [name, *counts, age(obj, now), *containers(spec.get("template")), selector(spec.get("selector"))]


def deployment(obj: Object, now: float) -> list[Any]:
    name, spec, status = _parts(obj)
    return [
        name,
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj, now),
        *containers(spec.get("template")),
        selector(spec.get("selector"), "<none>" if spec.get("selector") is None else ""),
    ]


def stateful_set(obj: Object, now: float) -> list[Any]:
    name, spec, status = _parts(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [name, ready, age(obj, now), *containers(spec.get("template"))]


def daemon_set(obj: Object, now: float) -> list[Any]:
    name, spec, status = _parts(obj)
    keys = (
        "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable",
    )  # fmt: skip
    template = spec.get("template") or {}
    return [
        name,
        *(status.get(key, 0) for key in keys),
        labels((template.get("spec") or {}).get("nodeSelector")),
        age(obj, now),
        *containers(template),
        selector(spec.get("selector")),
    ]


def controller_revision(obj: Object, now: float) -> list[Any]:
    owner = next((one for one in obj["metadata"].get("ownerReferences") or () if one.get("controller")), None)
    shown = NONE
    if owner is not None:
        group, slash, _ = owner.get("apiVersion", "").rpartition("/")
        kind = f"{owner.get('kind', '')}.{group}" if slash else owner.get("kind", "")
        shown = f"{kind.lower()}/{owner.get('name', '')}"
    return [obj["metadata"].get("name", ""), shown, obj.get("revision", 0), age(obj, now)]


def job(obj: Object, now: float) -> list[Any]:
    name, spec, status = _parts(obj)
    completed, started = status.get("completionTime"), status.get("startTime")
    succeeded, parallelism = status.get("succeeded", 0), spec.get("parallelism") or 0
    if spec.get("completions") is not None:
        progress = f"{succeeded}/{spec['completions']}"
    elif parallelism > 1:
        progress = f"{succeeded}/1 of {parallelism}"
    else:
        progress = f"{succeeded}/1"
    duration = ""
    if started:
        end = times.parse(completed) if completed else now
        duration = human_duration(end - times.parse(started))
    return [
        name,
        _job_status(obj, status),
        progress,
        duration,
        age(obj, now),
        *containers(spec.get("template")),
        selector(spec.get("selector")),
    ]


def _job_status(obj: Object, status: Object) -> str:
    true = {one.get("type") for one in status.get("conditions") or () if one.get("status") == "True"}
    if "Complete" in true:
        return "Complete"
    if "Failed" in true:
        return "Failed"
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if "Suspended" in true:
        return "Suspended"
    if "FailureTarget" in true:
        return "FailureTarget"
    if "SuccessCriteriaMet" in true:
        return "SuccessCriteriaMet"

    return "Running"


def cron_job(obj: Object, now: float) -> list[Any]:
    name, spec, status = _parts(obj)
    last = status.get("lastScheduleTime")
    template = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template")
    suspended = spec.get("suspend")
    return [
        name,
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        "<unset>" if suspended is None else ("True" if suspended else "False"),
        len(status.get("active") or ()),
        since(last, now) if last else NONE,
        age(obj, now),
        *containers(template),
        selector(((spec.get("jobTemplate") or {}).get("spec") or {}).get("selector")),
    ]


def budget(obj: Object, now: float) -> list[Any]:
    name, spec, status = _parts(obj)
    limits = [str(spec[key]) if key in spec else "N/A" for key in ("minAvailable", "maxUnavailable")]
    return [name, *limits, status.get("disruptionsAllowed", 0), age(obj, now)]


def autoscaler(obj: Object, now: float) -> list[Any]:
    name, spec, status = _parts(obj)
    target = spec.get("scaleTargetRef") or {}
    minimum = spec.get("minReplicas")
    return [
        name,
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _metrics(spec, status),
        str(minimum) if minimum is not None else "<unset>",
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age(obj, now),
    ]


def _metrics(spec: Object, status: Object) -> str:
    if "metrics" not in spec:
        # autoscaling/v1 has one metric in a field of its own.
        wanted = spec.get("targetCPUUtilizationPercentage")
        if wanted is None:
            return NONE
        current = status.get("currentCPUUtilizationPercentage")
        return f"cpu: {UNKNOWN if current is None else f'{current}%'}/{wanted}%"
    currents = status.get("currentMetrics") or ()
    shown = [
        _metric(one, currents[position] if position < len(currents) else {})
        for position, one in enumerate(spec["metrics"] or ())
    ]
    if not shown:
        return NONE
    if len(shown) > 2:
        return f"{', '.join(shown[:2])} + {len(shown) - 2} more..."
    return ", ".join(shown)


_SOURCES = {
    "External": "external", "Pods": "pods", "Object": "object", "Resource": "resource",
    "ContainerResource": "containerResource",
}  # fmt: skip


def _metric(spec: Object, current: Object) -> str:
    kind = spec.get("type", "")
    key = _SOURCES.get(kind)
    if key is None:
        return "<unknown type>"
    source, now = spec.get(key) or {}, (current.get(key) or {}).get("current") or {}
    target = source.get("target") or {}
    if kind in ("Resource", "ContainerResource"):
        name = source.get("name", "")
        if target.get("averageValue") is not None:
            return f"{name}: {now.get('averageValue', UNKNOWN)}/{target['averageValue']}"
        wanted, is_now = target.get("averageUtilization"), now.get("averageUtilization")
        shown_wanted = "<auto>" if wanted is None else f"{wanted}%"
        return f"{name}: {UNKNOWN if is_now is None else f'{is_now}%'}/{shown_wanted}"
    if kind == "Pods":
        return f"{now.get('averageValue', UNKNOWN)}/{target.get('averageValue', '')}"
    if target.get("averageValue") is not None:
        return f"{now.get('averageValue', UNKNOWN)}/{target['averageValue']} (avg)"
    return f"{now.get('value', UNKNOWN)}/{target.get('value', '<nil>')}"


def pod_template(obj: Object, _: float) -> list[Any]:
    template = obj.get("template") or {}
    return [
        obj["metadata"].get("name", ""),
        *containers(template),
        labels((template.get("metadata") or {}).get("labels")),
    ]


def priority_class(obj: Object, now: float) -> list[Any]:
    name = obj["metadata"].get("name", "")
    return [name, obj.get("value", 0), bool(obj.get("globalDefault")), age(obj, now), obj.get("preemptionPolicy", "")]


def runtime_class(obj: Object, now: float) -> list[Any]:
    return [obj["metadata"].get("name", ""), obj.get("handler", ""), age(obj, now)]


def lease(obj: Object, now: float) -> list[Any]:
    return [obj["metadata"].get("name", ""), (obj.get("spec") or {}).get("holderIdentity") or "", age(obj, now)]
