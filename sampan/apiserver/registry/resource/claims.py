"""Dynamic resource allocation: device classes, claims, claim templates, slices.

CEL selectors are compiled by who evaluates them; here their presence and length are checked.
"""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.resource import devices
from sampan.apiserver.registry.resource.devices import class_configuration, device_claim, selectors_of
from sampan.apiserver.registry.resource.slices import resource_slice
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_IMMUTABLE = "field is immutable"


class DeviceClassStrategy(Strategy):
    """Device classes."""

    has_status = False
    tracks_generation = True

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec = obj.get("spec") or {}
        selectors_of(errors, _SPEC.child("selectors"), spec.get("selectors") or [])
        class_configuration(errors, _SPEC.child("config"), spec.get("config") or [])
        if spec.get("extendedResourceName") is not None:
            names.qualified_name(errors, _SPEC.child("extendedResourceName"), spec["extendedResourceName"])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)


class ResourceClaimStrategy(Strategy):
    """Resource claims."""

    tracks_generation = False

    def default(self, obj: Object) -> None:
        devices.default_claim(obj.setdefault("spec", {}))

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        device_claim(errors, _SPEC.child("devices"), obj["spec"].get("devices") or {})
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        if new["spec"] != old["spec"]:
            shown = gotypes.internal("resource.v1.ResourceClaimSpec", new["spec"])
            errors.append(field.invalid(_SPEC, shown, _IMMUTABLE))
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        status, before = new.get("status") or {}, old.get("status") or {}
        path = Path("status")
        reserved = status.get("reservedFor") or []
        if len(reserved) > 256:
            errors.append(field.too_many(path.child("reservedFor"), len(reserved), 256))
        seen: set[str] = set()
        for position, one in enumerate(reserved):
            here = path.child("reservedFor").index(position)
            for key in ("resource", "name", "uid"):
                if not one.get(key):
                    errors.append(field.required(here.child(key)))
            if one.get("uid", "") in seen:
                errors.append(field.duplicate(here.child("uid"), one.get("uid", "")))
            seen.add(one.get("uid", ""))
        if reserved and "allocation" not in status:
            errors.append(
                field.forbidden(path.child("reservedFor"), "may not be specified when `allocated` is not set")
            )
        if "allocation" in before and "allocation" in status and status["allocation"] != before["allocation"]:
            shown = gotypes.internal("resource.v1.AllocationResult", status["allocation"])
            errors.append(field.invalid(path.child("allocation"), shown, _IMMUTABLE))
        return errors


class ResourceClaimTemplateStrategy(Strategy):
    """Templates of resource claims; immutable."""

    has_status = False

    def default(self, obj: Object) -> None:
        devices.default_claim(obj.setdefault("spec", {}).setdefault("spec", {}))

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec = obj["spec"].get("spec") or {}
        device_claim(errors, _SPEC.child("spec", "devices"), spec.get("devices") or {})
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        if new["spec"] != old["spec"]:
            shown = gotypes.internal("resource.v1.ResourceClaimTemplateSpec", new["spec"])
            errors.append(field.invalid(_SPEC, shown, _IMMUTABLE))
        return errors


class ResourceSliceStrategy(Strategy):
    """Slices of what a driver offers."""

    has_status = False
    tracks_generation = True
    selectable = ("spec.nodeName", "spec.driver")

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        resource_slice(errors, _SPEC, obj.get("spec") or {})
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors = self.validate(ctx, new)
        after, before = new.get("spec") or {}, old.get("spec") or {}
        for key in ("nodeName", "driver"):
            if after.get(key) != before.get(key):
                errors.append(field.invalid(_SPEC.child(key), after.get(key, ""), _IMMUTABLE))
        name = (after.get("pool") or {}).get("name")
        if name != (before.get("pool") or {}).get("name"):
            errors.append(field.invalid(_SPEC.child("pool", "name"), name or "", _IMMUTABLE))
        return errors

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        spec = obj.get("spec") or {}
        return {"spec.nodeName": spec.get("nodeName") or "", "spec.driver": spec.get("driver", "")}
