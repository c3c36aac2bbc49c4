"""Jobs (pkg/registry/batch/job)."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.batch import jobrules
from sampan.apiserver.registry.batch.jobstatus import status_update
from sampan.apiserver.registry.core.podspec.defaults import default_template
from sampan.apiserver.registry.core.podspec.options import options_for
from sampan.apiserver.registry.core.podspec.warnings import template_warnings
from sampan.apiserver.registry.core.replication import name_warnings
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, selectors

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_TEMPLATE = _SPEC.child("template")
_IMMUTABLE = "field is immutable"
_UID, _OLD_UID = "batch.kubernetes.io/controller-uid", "controller-uid"
_NAME, _OLD_NAME = "batch.kubernetes.io/job-name", "job-name"
_MAX_BACKOFF = 2**31 - 1


def default_job_spec(spec: Object) -> None:
    """Default what jobs and the templates of cron jobs have in common."""
    default_template(spec.setdefault("template", {}))


class JobStrategy(Strategy):
    """Jobs; unless the user insists, selector and labels are made from the uid."""

    selectable = ("status.successful",)

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if "completions" not in spec and "parallelism" not in spec:
            spec["completions"] = spec["parallelism"] = 1
        spec.setdefault("parallelism", 1)
        if "backoffLimit" not in spec:
            spec["backoffLimit"] = _MAX_BACKOFF if "backoffLimitPerIndex" in spec else 6
        metadata = obj.setdefault("metadata", {})
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if labels and not metadata.get("labels"):
            metadata["labels"] = dict(labels)
        if not spec.get("completionMode"):
            spec["completionMode"] = "NonIndexed"
        spec.setdefault("suspend", False)
        if spec.get("podReplacementPolicy") is None:
            spec["podReplacementPolicy"] = "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed"
        spec.setdefault("manualSelector", False)
        for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
            for one in rule.get("onPodConditions") or ():
                if not one.get("status"):
                    one["status"] = "True"
        default_job_spec(spec)

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        if not obj["spec"].get("manualSelector"):
            _generate_selector(obj)

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        _generated_selector(errors, obj)
        jobrules.job_spec(errors, _SPEC, obj["spec"], options_for(None, pod=False))
        jobrules.selector(errors, _SPEC, obj["spec"])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        after, before = new["spec"], old["spec"]
        options = options_for((before.get("template") or {}).get("spec"), pod=False)
        jobrules.job_spec(errors, _SPEC, after, options)
        jobrules.selector(errors, _SPEC, after)
        _completions(errors, after, before)
        if after.get("selector") != before.get("selector"):
            errors.append(field.invalid(_SPEC.child("selector"), gotypes.metadata(after.get("selector")), _IMMUTABLE))
        _template(errors, new, old)
        for key in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
            if after.get(key) != before.get(key):
                kinds = {"podFailurePolicy": "batch.v1.PodFailurePolicy", "successPolicy": "batch.v1.SuccessPolicy"}
                value = after.get(key)
                shown = gotypes.internal(kinds[key], value) if key in kinds and value is not None else value
                errors.append(field.invalid(_SPEC.child(key), shown, _IMMUTABLE))
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        status_update(errors, new, old)
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return name_warnings(obj) + job_warnings(_SPEC, obj["spec"])

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        if ctx.subresource or new["spec"] == old["spec"]:
            return []
        return template_warnings(_TEMPLATE, new["spec"].get("template") or {})

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {"status.successful": str((obj.get("status") or {}).get("succeeded", 0))}


def job_warnings(path: Path, spec: Object) -> list[str]:
    """Warnings about a job's spec."""
    found = []
    many = (spec.get("completions") or 0) > 100_000 and spec.get("parallelism", 0) > 10_000
    if jobrules.is_indexed(spec) and many:
        found.append(
            "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
            "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        )
    return found + template_warnings(path.child("template"), spec.get("template") or {})


def _generate_selector(job: Object) -> None:
    spec, metadata = job["spec"], job["metadata"]
    template = spec.setdefault("template", {})
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    for key in (_NAME, _OLD_NAME):
        labels.setdefault(key, metadata.get("name", ""))
    for key in (_UID, _OLD_UID):
        labels.setdefault(key, metadata.get("uid", ""))
    spec.setdefault("selector", {}).setdefault("matchLabels", {}).setdefault(_UID, metadata.get("uid", ""))
    if not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def _generated_selector(errors: Errors, job: Object) -> None:
    spec, metadata = job["spec"], job["metadata"]
    if spec.get("manualSelector"):
        return
    selector = spec.get("selector")
    if selector is None:
        return
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    path = _TEMPLATE.child("metadata", "labels")
    expected = {
        _OLD_UID: metadata.get("uid", ""), _OLD_NAME: metadata.get("name", ""),
        _UID: metadata.get("uid", ""), _NAME: metadata.get("name", ""),
    }  # fmt: skip
    for key, value in expected.items():
        if key not in labels:
            errors.append(field.required(path.key(key), f"must be '{value}'"))
        elif labels[key] != value:
            errors.append(field.invalid(path.key(key), gotypes.string_map(labels), f"must be '{value}'"))
    if selectors.is_valid(selector) and not selectors.selector_matches(selector, expected):
        errors.append(
            field.invalid(_SPEC.child("selector"), gotypes.metadata(selector), "`selector` not auto-generated")
        )


def _completions(errors: Errors, after: Object, before: Object) -> None:
    """Fixed, but for indexed jobs, where it may change together with parallelism."""
    value = after.get("completions")
    if value == before.get("completions"):
        return
    path = _SPEC.child("completions")
    if not jobrules.is_indexed(before):
        errors.append(field.invalid(path, value, _IMMUTABLE))
    elif value != after.get("parallelism"):
        detail = f"can only be modified in tandem with {_SPEC.child('parallelism')}"
        errors.append(field.invalid(path, value, detail))


def _template(errors: Errors, new: Object, old: Object) -> None:
    """Fixed, but where pods of a suspended job that never started may go, and what they may use."""
    after, before = new["spec"].get("template") or {}, old["spec"].get("template") or {}
    if after == before:
        return
    compared = after
    if _is_open(old):
        compared = _with_scheduling_of(after, before)
    if compared != before:
        shown = gotypes.internal("core.v1.PodTemplateSpec", after)
        errors.append(field.invalid(_TEMPLATE, shown, _IMMUTABLE))


def _is_open(job: Object) -> bool:
    status = job.get("status") or {}
    suspended = any(
        one.get("type") == "Suspended" and one.get("status") == "True" for one in status.get("conditions") or ()
    )
    never_started = not status.get("startTime")
    return bool(job["spec"].get("suspend")) and (never_started or (suspended and not status.get("active")))


def _with_scheduling_of(after: Object, before: Object) -> Object:
    spec, earlier = dict(after.get("spec") or {}), before.get("spec") or {}
    for key in ("affinity", "nodeSelector", "tolerations", "schedulingGates"):
        if key in earlier:
            spec[key] = earlier[key]
        else:
            spec.pop(key, None)
    for kind in ("containers", "initContainers"):
        pairs = list(zip(spec.get(kind) or (), earlier.get(kind) or (), strict=False))
        if kind in spec and len(pairs) == len(spec[kind] or ()):
            spec[kind] = [{**one, "resources": other.get("resources", {})} for one, other in pairs]
    metadata, was = dict(after.get("metadata") or {}), before.get("metadata") or {}
    for key in ("annotations", "labels"):
        if key in was:
            metadata[key] = was[key]
        else:
            metadata.pop(key, None)
    return {**after, "spec": spec, "metadata": metadata}
