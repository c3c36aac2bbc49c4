"""Deployments and ReplicaSets."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.apps import workload
from sampan.apiserver.registry.apps.workload import SPEC, ScalableWorkload
from sampan.apiserver.registry.core.podspec.defaults import default_template
from sampan.apiserver.registry.core.podspec.options import options_for
from sampan.apiserver.registry.core.replication import name_warnings, replica_counts
from sampan.apiserver.registry.validation import gotypes, numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_STRATEGY = SPEC.child("strategy")
_ROLLING = _STRATEGY.child("rollingUpdate")


class DeploymentStrategy(ScalableWorkload):
    """Deployments."""

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        strategy = spec.setdefault("strategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", "25%")
            rolling.setdefault("maxSurge", "25%")
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)
        default_template(spec.setdefault("template", {}))

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        return self._validate(obj, None)

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors = self._validate(new, old)
        workload.same_selector(errors, new, old)
        return errors

    @staticmethod
    def _validate(obj: Object, old: Object | None) -> Errors:
        errors: Errors = []
        spec = obj["spec"]
        numbers.nonnegative_fields(errors, SPEC, spec, "replicas")
        workload.check_selector(errors, spec, "empty selector is invalid for deployment")
        options = options_for(workload.old_pod_spec(old), pod=False)
        workload.check_template(errors, spec, options, kind="ReplicaSet", bad_selector="invalid label selector")
        _strategy(errors, spec)
        numbers.nonnegative_fields(errors, SPEC, spec, "minReadySeconds", "revisionHistoryLimit")
        deadline = spec.get("progressDeadlineSeconds")
        if deadline is not None:
            where = SPEC.child("progressDeadlineSeconds")
            numbers.nonnegative(errors, where, deadline)
            if deadline <= spec.get("minReadySeconds", 0):
                errors.append(field.invalid(where, deadline, "must be greater than minReadySeconds"))
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        status = new.get("status") or {}
        keys = (
            "observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
            "unavailableReplicas", "collisionCount",
        )  # fmt: skip
        workload.nonnegative_status(errors, status, *keys)
        workload.at_most(errors, status, "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        workload.at_most(errors, status, "readyReplicas", "availableReplicas")
        workload.collision_count(errors, new, old)
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return name_warnings(obj) + super().warnings_on_create(ctx, obj)


def _strategy(errors: Errors, spec: Object) -> None:
    strategy = spec.get("strategy") or {}
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            errors.append(field.forbidden(_ROLLING, detail))
    elif kind == "RollingUpdate":
        if rolling is None:
            errors.append(field.required(_ROLLING, "this should be defaulted and never be nil"))
        else:
            _rolling(errors, rolling)
    else:
        shown = gotypes.internal("apps.v1.DeploymentStrategy", strategy)
        errors.append(field.not_supported(_STRATEGY, shown, ("Recreate", "RollingUpdate")))


def _rolling(errors: Errors, rolling: Object) -> None:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    where = _ROLLING.child("maxUnavailable")
    numbers.int_or_percent(errors, where, unavailable)
    numbers.int_or_percent(errors, _ROLLING.child("maxSurge"), surge)
    if numbers.percent_value(unavailable) == 0 and numbers.percent_value(surge) == 0:
        errors.append(field.invalid(where, unavailable, "may not be 0 when `maxSurge` is 0"))
    numbers.not_over_100_percent(errors, where, unavailable)


class ReplicaSetStrategy(ScalableWorkload):
    """Replica sets."""

    selectable = ("status.replicas",)

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        default_template(spec.setdefault("template", {}))

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        return self._validate(obj, None)

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors = self._validate(new, old)
        workload.same_selector(errors, new, old)
        return errors

    @staticmethod
    def _validate(obj: Object, old: Object | None) -> Errors:
        errors: Errors = []
        spec = obj["spec"]
        numbers.nonnegative_fields(errors, SPEC, spec, "replicas", "minReadySeconds")
        workload.check_selector(errors, spec, "empty selector is invalid for deployment")
        options = options_for(workload.old_pod_spec(old), pod=False)
        workload.check_template(errors, spec, options, kind="ReplicaSet", bad_selector="invalid label selector")
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        replica_counts(errors, new.get("status") or {})
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return name_warnings(obj) + super().warnings_on_create(ctx, obj)

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {"status.replicas": str((obj.get("status") or {}).get("replicas", 0))}
