"""What the workloads of apps/v1 share: selectors, templates, scale."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec.template import always_restarting, pod_template, template_labels
from sampan.apiserver.registry.core.podspec.warnings import template_warnings
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, numbers, selectors
from sampan.apiserver.registry.validation.scale import replicas_scale, selector_text

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

SPEC = Path("spec")
STATUS = Path("status")
TEMPLATE = SPEC.child("template")
SELECTOR = SPEC.child("selector")
MISMATCH = "`selector` does not match template `labels`"


class Workload(Strategy):
    """A kind with spec.selector and spec.template."""

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return template_warnings(TEMPLATE, obj["spec"].get("template") or {})

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        if ctx.subresource or new["spec"] == old["spec"]:
            return []
        return template_warnings(TEMPLATE, new["spec"].get("template") or {})


class ScalableWorkload(Workload):
    """A workload with a scale subresource."""

    def get_scale(self, obj: Object) -> Object:
        return replicas_scale(obj, selector_text(obj["spec"].get("selector") or {}))

    def set_scale(self, obj: Object, scale: Object) -> None:
        obj["spec"]["replicas"] = (scale.get("spec") or {}).get("replicas", 0)


def old_pod_spec(old: Object | None) -> Object | None:
    """Return the pod spec of an old workload's template."""
    if old is None:
        return None
    found: Object | None = (old["spec"].get("template") or {}).get("spec")
    return found


def check_selector(errors: Errors, spec: Object, empty: str) -> None:
    """spec.selector, which must be there and not match everything. empty: the message."""
    selector = spec.get("selector")
    if selector is None:
        errors.append(field.required(SELECTOR))
        return
    selectors.label_selector(errors, SELECTOR, selector)
    if selectors.is_empty(selector):
        errors.append(field.invalid(SELECTOR, gotypes.metadata(selector), empty))


def check_template(errors: Errors, spec: Object, options: PodOptions, *, kind: str, bad_selector: str) -> None:
    """Check spec.template against the selector.

    kind: as messages name it. bad_selector: the message for a selector that cannot be used.
    """
    selector, template = spec.get("selector"), spec.get("template") or {}
    if selector is not None and not selectors.is_valid(selector):
        errors.append(field.invalid(SELECTOR, gotypes.metadata(selector), bad_selector))
        return
    labels = template_labels(template)
    # No selector matches nothing; an empty one is let be, it was reported already.
    if selector is None or not selectors.selector_matches(selector, labels or {}):
        errors.append(field.invalid(TEMPLATE.child("metadata", "labels"), gotypes.string_map(labels), MISMATCH))
    pod_template(errors, TEMPLATE, template, options)
    always_restarting(errors, TEMPLATE, template, kind)


def same_selector(errors: Errors, new: Object, old: Object) -> None:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        errors.append(field.invalid(SELECTOR, gotypes.metadata(new["spec"].get("selector")), "field is immutable"))


def at_most(errors: Errors, status: Object, whole: str, *parts: str) -> None:
    """Counts that are parts of another count. whole: its key."""
    total = status.get(whole, 0)
    shown = "status.replicas" if whole == "replicas" else whole
    for key in parts:
        if status.get(key, 0) > total:
            errors.append(field.invalid(STATUS.child(key), status[key], f"cannot be greater than {shown}"))


def collision_count(errors: Errors, new: Object, old: Object) -> None:
    """status.collisionCount only grows."""
    after, before = new.get("status") or {}, old.get("status") or {}
    if "collisionCount" in before and after.get("collisionCount", -1) < before["collisionCount"]:
        value = after.get("collisionCount", 0)
        errors.append(field.invalid(STATUS.child("collisionCount"), value, "cannot be decremented"))


def nonnegative_status(errors: Errors, status: Object, *keys: str) -> None:
    numbers.nonnegative_fields(errors, STATUS, status, *keys)
