"""StatefulSets and ControllerRevisions."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.apps import workload
from sampan.apiserver.registry.apps.workload import SPEC, ScalableWorkload
from sampan.apiserver.registry.core.podspec.defaults import default_claim_spec, default_template
from sampan.apiserver.registry.core.podspec.options import options_for
from sampan.apiserver.registry.core.podspec.warnings import claim_warnings
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, names, numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_UPDATE = SPEC.child("updateStrategy")
_RETENTION = SPEC.child("persistentVolumeClaimRetentionPolicy")
_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


class StatefulSetStrategy(ScalableWorkload):
    """Stateful sets. Names are labels, since pods are called after them."""

    name_kind = "label"

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("podManagementPolicy"):
            spec["podManagementPolicy"] = "OrderedReady"
        update = spec.setdefault("updateStrategy", {})
        if not update.get("type"):
            update["type"] = "RollingUpdate"
        if update["type"] == "RollingUpdate":
            update.setdefault("rollingUpdate", {}).setdefault("partition", 0)
        retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        for key in ("whenDeleted", "whenScaled"):
            if not retention.get(key):
                retention[key] = "Retain"
        spec.setdefault("replicas", 1)
        spec.setdefault("revisionHistoryLimit", 10)
        default_template(spec.setdefault("template", {}))
        for claim in spec.get("volumeClaimTemplates") or ():
            claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
            default_claim_spec(claim.setdefault("spec", {}))
            claim.setdefault("status", {}).setdefault("phase", "Pending")

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        # Claims of the template that differ only in what defaulting adds are the same.
        if "volumeClaimTemplates" not in new["spec"] and not old["spec"].get("volumeClaimTemplates"):
            new["spec"].pop("volumeClaimTemplates", None)

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        _spec(errors, obj, None)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        after = {key: value for key, value in new["spec"].items() if key not in _MUTABLE}
        before = {key: value for key, value in old["spec"].items() if key not in _MUTABLE}
        if after != before:
            errors.append(field.forbidden(SPEC, _FIXED))
        _spec(errors, new, old)
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        status = new.get("status") or {}
        keys = (
            "replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas",
            "observedGeneration", "collisionCount",
        )  # fmt: skip
        workload.nonnegative_status(errors, status, *keys)
        parts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
        workload.at_most(errors, status, "replicas", *parts)
        if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
            detail = "cannot be greater than status.readyReplicas"
            where = workload.STATUS.child("availableReplicas")
            errors.append(field.invalid(where, status["availableReplicas"], detail))
        workload.collision_count(errors, new, old)
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = super().warnings_on_create(ctx, obj)
        for position, claim in enumerate(obj["spec"].get("volumeClaimTemplates") or ()):
            path = SPEC.child("volumeClaimTemplates").index(position).child("spec")
            found += claim_warnings(path, claim.get("spec") or {})
        if obj["spec"].get("revisionHistoryLimit", 0) < 0:
            found.append(
                "spec.revisionHistoryLimit: a negative value retains all historical revisions; "
                "a value >= 0 is recommended"
            )
        return found


def _spec(errors: Errors, obj: Object, old: Object | None) -> None:
    spec = obj["spec"]
    policy = spec.get("podManagementPolicy", "")
    if policy not in ("OrderedReady", "Parallel"):
        where = SPEC.child("podManagementPolicy")
        detail = "must be 'OrderedReady' or 'Parallel'"
        errors.append(field.invalid(where, policy, detail) if policy else field.required(where))
    _update_strategy(errors, spec)
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    if retention is not None:
        for key in ("whenDeleted", "whenScaled"):
            names.one_of(errors, _RETENTION.child(key), retention.get(key, ""), ("Retain", "Delete"))
    numbers.nonnegative_fields(errors, SPEC, spec, "replicas", "minReadySeconds")
    if "ordinals" in spec:
        numbers.nonnegative(errors, SPEC.child("ordinals", "start"), spec["ordinals"].get("start", 0))
    workload.check_selector(errors, spec, "empty selector is invalid for statefulset")
    options = options_for(workload.old_pod_spec(old), pod=False)
    checked = _with_claims(spec)
    workload.check_template(errors, checked, options, kind="StatefulSet", bad_selector="")


def _with_claims(spec: Object) -> Object:
    """Copy the spec with volumes for the claim templates, which containers mount by name."""
    claims = spec.get("volumeClaimTemplates")
    template = spec.get("template") or {}
    if not claims or not (template.get("spec") or {}).get("containers"):
        return spec
    pod = template["spec"]
    taken = {one.get("name") for one in pod.get("volumes") or ()}
    added = [
        {"name": name, "persistentVolumeClaim": {"claimName": name}}
        for claim in claims
        if (name := (claim.get("metadata") or {}).get("name", "")) and name not in taken
    ]
    return {**spec, "template": {**template, "spec": {**pod, "volumes": [*(pod.get("volumes") or ()), *added]}}}


def _update_strategy(errors: Errors, spec: Object) -> None:
    update = spec.get("updateStrategy") or {}
    kind, rolling = update.get("type", ""), update.get("rollingUpdate")
    if kind == "OnDelete":
        if rolling is not None:
            shown = gotypes.internal("apps.v1.RollingUpdateStatefulSetStrategy", rolling)
            detail = "only allowed for updateStrategy 'RollingUpdate'"
            errors.append(field.invalid(_UPDATE.child("rollingUpdate"), shown, detail))
    elif kind == "RollingUpdate":
        if rolling is not None:
            where = _UPDATE.child("rollingUpdate")
            numbers.nonnegative(errors, where.child("partition"), rolling.get("partition", 0))
            if "maxUnavailable" in rolling:
                _max_unavailable(errors, where.child("maxUnavailable"), rolling["maxUnavailable"])
    elif not kind:
        errors.append(field.required(_UPDATE))
    else:
        shown = gotypes.internal("apps.v1.StatefulSetUpdateStrategy", update)
        errors.append(field.invalid(_UPDATE, shown, "must be 'RollingUpdate' or 'OnDelete'"))


def _max_unavailable(errors: Errors, path: Path, value: int | str) -> None:
    numbers.int_or_percent(errors, path, value)
    if numbers.percent_value(value) == 0:
        errors.append(field.invalid(path, value, "cannot be 0"))
    numbers.not_over_100_percent(errors, path, value)


class ControllerRevisionStrategy(Strategy):
    """Controller revisions: a template's state, frozen."""

    has_status = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        if obj.get("data") is None:
            errors.append(field.required(Path("data"), "data is mandatory"))
        numbers.nonnegative(errors, Path("revision"), obj.get("revision", 0))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors = self.validate(ctx, new)
        if new.get("data") != old.get("data"):
            errors.append(field.invalid(Path("data"), new.get("data"), "field is immutable"))
        return errors
