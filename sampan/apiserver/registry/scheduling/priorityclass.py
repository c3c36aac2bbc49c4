"""PriorityClasses."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_HIGHEST = 1_000_000_000
_FIXED = "may not be changed in an update."
_SYSTEM = "system-"
SYSTEM_CLASSES = {
    "system-node-critical": (
        2 * _HIGHEST + 1000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    "system-cluster-critical": (
        2 * _HIGHEST,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
}
_KNOWN = ("system-node-critical", "system-cluster-critical")


class PriorityClassStrategy(Strategy):
    """Priority classes."""

    has_status = False

    def default(self, obj: Object) -> None:
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
        if name.startswith(_SYSTEM):
            fault = _system_fault(obj, name)
            if fault:
                detail = "priority class names with 'system-' prefix are reserved for system use only. error: " + fault
                errors.append(field.forbidden(Path("metadata").child("name"), detail))
        elif value > _HIGHEST:
            detail = f"maximum allowed value of a user defined priority is {_HIGHEST}"
            errors.append(field.forbidden(Path("value"), detail))
        policy = obj.get("preemptionPolicy")
        if policy is not None:
            names.one_of_required(errors, Path("preemptionPolicy"), policy, ("PreemptLowerPriority", "Never"))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        if new.get("value", 0) != old.get("value", 0):
            errors.append(field.forbidden(Path("value"), _FIXED))
        if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
            errors.append(field.invalid(Path("preemptionPolicy"), new.get("preemptionPolicy"), "field is immutable"))
        return errors


def _system_fault(obj: Object, name: str) -> str:
    if name not in _KNOWN:
        return f"{name} is not a known system priority class"
    value, description = SYSTEM_CLASSES[name]
    if obj.get("value", 0) != value:
        return f"value of {name} PriorityClass must be {value}"
    if obj.get("globalDefault"):
        return f"globalDefault of {name} PriorityClass must be false"
    if obj.get("description", "") != description:
        return f"description of {name} PriorityClass must be {description}"
    return ""
