"""PodDisruptionBudgets."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import conditions, gotypes, names, numbers, selectors

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_STATUS = Path("status")


class PodDisruptionBudgetStrategy(Strategy):
    """Pod disruption budgets."""

    allow_unconditional_update = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        return self._validate(obj.get("spec", {}), tolerant=False)

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        tolerant = not selectors.is_valid((old.get("spec") or {}).get("selector"))
        return self._validate(new.get("spec") or {}, tolerant=tolerant)

    @staticmethod
    def _validate(spec: Object, *, tolerant: bool) -> Errors:
        errors: Errors = []
        if "minAvailable" in spec and "maxUnavailable" in spec:
            shown = gotypes.internal("policy.v1.PodDisruptionBudgetSpec", spec)
            errors.append(field.invalid(_SPEC, shown, "minAvailable and maxUnavailable cannot be both set"))
        for key in ("minAvailable", "maxUnavailable"):
            if key in spec:
                numbers.int_or_percent(errors, _SPEC.child(key), spec[key])
                numbers.not_over_100_percent(errors, _SPEC.child(key), spec[key])
        where = _SPEC.child("selector")
        selectors.label_selector(errors, where, spec.get("selector"), allow_invalid_values=tolerant)
        if "unhealthyPodEvictionPolicy" in spec:
            policies = ("AlwaysAllow", "IfHealthyBudget")
            where = _SPEC.child("unhealthyPodEvictionPolicy")
            names.one_of(errors, where, spec["unhealthyPodEvictionPolicy"], policies)
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        status = new.get("status") or {}
        conditions.conditions(errors, _STATUS.child("conditions"), status.get("conditions"))
        keys = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
        numbers.nonnegative_fields(errors, _STATUS, status, *keys)
        return errors
