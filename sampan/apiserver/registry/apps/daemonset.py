"""DaemonSets."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.apps import workload
from sampan.apiserver.registry.apps.workload import SPEC, Workload
from sampan.apiserver.registry.core.podspec.defaults import default_template
from sampan.apiserver.registry.core.podspec.options import options_for
from sampan.apiserver.registry.core.podspec.template import always_restarting, pod_template, template_labels
from sampan.apiserver.registry.validation import gotypes, numbers, selectors

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

GENERATION = "deprecated.daemonset.template.generation"
_UPDATE = SPEC.child("updateStrategy")
_ROLLING = _UPDATE.child("rollingUpdate")


class DaemonSetStrategy(Workload):
    """Daemon sets; an annotation counts the changes of the template, as older clients expect."""

    version_annotations = (GENERATION,)

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        update = spec.setdefault("updateStrategy", {})
        if not update.get("type"):
            update["type"] = "RollingUpdate"
        if update["type"] == "RollingUpdate":
            rolling = update.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)
        spec.setdefault("revisionHistoryLimit", 10)
        default_template(spec.setdefault("template", {}))
        # A field of the unversioned type, so that every object of this version has the annotation.
        metadata = obj["metadata"]
        if GENERATION not in (metadata.get("annotations") or ()):
            metadata["annotations"] = {**(metadata.get("annotations") or {}), GENERATION: "0"}

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        if _generation(obj) < 1:
            obj["metadata"].setdefault("annotations", {})[GENERATION] = "1"

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        generation = _generation(old)
        if new["spec"].get("template") != old["spec"].get("template"):
            generation += 1
        new["metadata"].setdefault("annotations", {})[GENERATION] = str(generation)

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        _spec(errors, obj, None)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        workload.same_selector(errors, new, old)
        _spec(errors, new, old)
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        keys = (
            "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
            "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
        )  # fmt: skip
        workload.nonnegative_status(errors, new.get("status") or {}, *keys)
        workload.collision_count(errors, new, old)
        return errors


def _generation(obj: Object) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(GENERATION, "0")
    return int(text) if text.lstrip("-").isdigit() else 0


def _spec(errors: Errors, obj: Object, old: Object | None) -> None:
    spec = obj["spec"]
    selector, template = spec.get("selector"), spec.get("template") or {}
    selectors.label_selector(errors, workload.SELECTOR, selector)
    labels = template_labels(template)
    valid = selector is None or selectors.is_valid(selector)
    if valid and (selector is None or not selectors.selector_matches(selector, labels or {})):
        where = workload.TEMPLATE.child("metadata", "labels")
        errors.append(field.invalid(where, gotypes.string_map(labels), workload.MISMATCH))
    if selector is not None and selectors.is_empty(selector):
        detail = "empty selector is invalid for daemonset"
        errors.append(field.invalid(workload.SELECTOR, gotypes.metadata(selector), detail))
    options = options_for(workload.old_pod_spec(old), pod=False)
    pod_template(errors, workload.TEMPLATE, template, options)
    always_restarting(errors, workload.TEMPLATE, template, "DaemonSet")
    numbers.nonnegative_fields(errors, SPEC, spec, "minReadySeconds")
    _update_strategy(errors, spec)
    numbers.nonnegative_fields(errors, SPEC, spec, "revisionHistoryLimit")


def _update_strategy(errors: Errors, spec: Object) -> None:
    update = spec.get("updateStrategy") or {}
    kind, rolling = update.get("type", ""), update.get("rollingUpdate")
    if kind == "OnDelete":
        return
    if kind != "RollingUpdate":
        errors.append(
            field.not_supported(
                _UPDATE, gotypes.internal("apps.v1.DaemonSetUpdateStrategy", update), ("RollingUpdate", "OnDelete")
            )
        )
        return
    if rolling is None:
        errors.append(field.required(_ROLLING))
        return
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    for key, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        numbers.int_or_percent(errors, _ROLLING.child(key), value)
        numbers.not_over_100_percent(errors, _ROLLING.child(key), value)
    has_unavailable, has_surge = numbers.percent_value(unavailable) != 0, numbers.percent_value(surge) != 0
    if has_unavailable and has_surge:
        where = _ROLLING.child("maxSurge")
        errors.append(field.invalid(where, surge, "may not be set when maxUnavailable is non-zero"))
    elif not has_unavailable and not has_surge:
        errors.append(field.required(_ROLLING.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"))
