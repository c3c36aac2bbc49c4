"""Leases."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names, numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")


class LeaseStrategy(Strategy):
    """Leases."""

    allow_create_on_update = True
    allow_unconditional_update = False
    has_status = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec = obj.get("spec") or {}
        duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
        if duration is not None and duration <= 0:
            where = _SPEC.child("leaseDurationSeconds")
            errors.append(field.invalid(where, duration, "must be greater than 0"))
        if transitions is not None:
            numbers.nonnegative(errors, _SPEC.child("leaseTransitions"), transitions)
        strategy = spec.get("strategy")
        if strategy is not None:
            names.one_of(errors, _SPEC.child("strategy"), strategy, ("OldestEmulationVersion",))
        preferred = spec.get("preferredHolder")
        if preferred and not strategy:
            detail = "may only be specified if `strategy` is defined"
            errors.append(field.forbidden(_SPEC.child("preferredHolder"), detail))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)
