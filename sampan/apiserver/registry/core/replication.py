"""ReplicationControllers and PodTemplates."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.api.names import is_dns1123_label
from sampan.apiserver.registry.core.podspec.defaults import default_template
from sampan.apiserver.registry.core.podspec.options import options_for
from sampan.apiserver.registry.core.podspec.template import always_restarting, pod_template, template_labels
from sampan.apiserver.registry.core.podspec.warnings import template_warnings
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, numbers
from sampan.apiserver.registry.validation.scale import replicas_scale

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_STATUS = Path("status")
_COUNTS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")


class ReplicationControllerStrategy(Strategy):
    """Replication controllers."""

    selectable = ("status.replicas",)

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        template = spec.get("template")
        labels = template_labels(template) if template is not None else None
        if labels:
            if not spec.get("selector"):
                spec["selector"] = dict(labels)
            metadata = obj.setdefault("metadata", {})
            if not metadata.get("labels"):
                metadata["labels"] = dict(labels)
        spec.setdefault("replicas", 1)
        if template is not None:
            default_template(template)

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        _spec(errors, obj["spec"], options_for(None, pod=False))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        before = (old["spec"].get("template") or {}).get("spec")
        _spec(errors, new["spec"], options_for(before, pod=False))
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        replica_counts(errors, new.get("status") or {})
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = name_warnings(obj)
        template = obj["spec"].get("template")
        return found + (template_warnings(_SPEC.child("template"), template) if template is not None else [])

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        if ctx.subresource or new["metadata"].get("generation") == old["metadata"].get("generation"):
            return []
        template = new["spec"].get("template")
        return template_warnings(_SPEC.child("template"), template) if template is not None else []

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {"status.replicas": str((obj.get("status") or {}).get("replicas", 0))}

    def get_scale(self, obj: Object) -> Object:
        selector = obj["spec"].get("selector") or {}
        text = ",".join(f"{key}={selector[key]}" for key in sorted(selector))
        return replicas_scale(obj, text)

    def set_scale(self, obj: Object, scale: Object) -> None:
        obj["spec"]["replicas"] = (scale.get("spec") or {}).get("replicas", 0)


def name_warnings(obj: Object) -> list[str]:
    """Pods are named after their controller, and their hosts after them."""
    messages = is_dns1123_label(obj["metadata"].get("name", ""))
    if not messages:
        return []
    return [
        (
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
            f"a DNS label is recommended: [{' '.join(messages)}]"
        )
    ]


def replica_counts(errors: Errors, status: Object) -> None:
    """Counts of a ReplicationController or ReplicaSet: none negative, parts no more than the whole."""
    numbers.nonnegative_fields(errors, _STATUS, status, *_COUNTS)
    total = status.get("replicas", 0)
    for key in ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"):
        if status.get(key, 0) > total:
            detail = "cannot be greater than status.replicas"
            errors.append(field.invalid(_STATUS.child(key), status[key], detail))
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        detail = "cannot be greater than readyReplicas"
        errors.append(field.invalid(_STATUS.child("availableReplicas"), status["availableReplicas"], detail))


def _spec(errors: Errors, spec: Object, options: PodOptions) -> None:
    numbers.nonnegative_fields(errors, _SPEC, spec, "minReadySeconds")
    selector = spec.get("selector") or {}
    if not selector:
        errors.append(field.required(_SPEC.child("selector")))
    numbers.nonnegative_fields(errors, _SPEC, spec, "replicas")
    template = spec.get("template")
    path = _SPEC.child("template")
    if template is None:
        errors.append(field.required(path))
        return
    labels = template_labels(template)
    if any((labels or {}).get(key) != value for key, value in selector.items()):
        detail = "`selector` does not match template `labels`"
        errors.append(field.invalid(path.child("metadata", "labels"), gotypes.string_map(labels), detail))
    pod_template(errors, path, template, options)
    always_restarting(errors, path, template, "ReplicationController")


class PodTemplateStrategy(Strategy):
    """Pod templates as objects of their own."""

    allow_create_on_update = True
    has_status = False
    tracks_generation = True

    def default(self, obj: Object) -> None:
        default_template(obj.setdefault("template", {}))

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        pod_template(errors, Path("template"), obj["template"], options_for(None, pod=False))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        options = options_for((old.get("template") or {}).get("spec"), pod=False)
        pod_template(errors, Path("template"), new["template"], options)
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return template_warnings(Path("template"), obj["template"])

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        return template_warnings(Path("template"), new["template"])
