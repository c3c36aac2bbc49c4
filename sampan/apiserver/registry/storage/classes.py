"""StorageClasses and VolumeAttributesClasses."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec.warnings import deprecated_label
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_MAX_PARAMETERS = 512
_MAX_PARAMETERS_SIZE = 256 * 1024
_IMMUTABLE = "field is immutable"
_TOPOLOGIES = Path("allowedTopologies")


def provisioner(errors: Errors, path: Path, value: str) -> None:
    """A plug-in's name, whatever its case."""
    if not value:
        errors.append(field.required(path))
    else:
        names.qualified_name(errors, path, value.lower())


def parameters(errors: Errors, values: dict[str, str], *, required: bool) -> None:
    path = Path("parameters")
    if len(values) > _MAX_PARAMETERS:
        errors.append(field.too_long(path, "", _MAX_PARAMETERS))
        return
    for key in values:
        if not key:
            errors.append(field.invalid(path, key, "field can not be empty."))
    size = sum(len(key.encode()) + len(value.encode()) for key, value in values.items())
    if size > _MAX_PARAMETERS_SIZE:
        errors.append(field.too_long(path, "", _MAX_PARAMETERS_SIZE))
    if required and not values:
        errors.append(field.required(path, "must contain at least one key/value pair"))


class StorageClassStrategy(Strategy):
    """Storage classes."""

    has_status = False

    def default(self, obj: Object) -> None:
        if obj.get("reclaimPolicy") is None:
            obj["reclaimPolicy"] = "Delete"
        if obj.get("volumeBindingMode") is None:
            obj["volumeBindingMode"] = "Immediate"

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        provisioner(errors, Path("provisioner"), obj.get("provisioner", ""))
        parameters(errors, obj.get("parameters") or {}, required=False)
        names.one_of(errors, Path("reclaimPolicy"), obj.get("reclaimPolicy", ""), ("Delete", "Retain"))
        modes = ("Immediate", "WaitForFirstConsumer")
        names.one_of(errors, Path("volumeBindingMode"), obj.get("volumeBindingMode", ""), modes)
        _topologies(errors, obj.get("allowedTopologies") or [])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        if (new.get("parameters") or {}) != (old.get("parameters") or {}):
            errors.append(field.forbidden(Path("parameters"), "updates to parameters are forbidden."))
        for key in ("provisioner", "reclaimPolicy", "volumeBindingMode"):
            if new.get(key) != old.get(key):
                errors.append(field.invalid(Path(key), new.get(key), _IMMUTABLE))
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = []
        for position, term in enumerate(obj.get("allowedTopologies") or ()):
            for index, one in enumerate(term.get("matchLabelExpressions") or ()):
                if message := deprecated_label(one.get("key", "")):
                    where = _TOPOLOGIES.index(position).child("matchLabelExpressions").index(index).child("key")
                    found.append(f"{where}: {message}")
        return found


def _topologies(errors: Errors, terms: list[Object]) -> None:
    raw: list[dict[str, set[str]]] = []
    for position, term in enumerate(terms):
        here = _TOPOLOGIES.index(position)
        seen: dict[str, set[str]] = {}
        for index, one in enumerate(term.get("matchLabelExpressions") or ()):
            path = here.child("matchLabelExpressions").index(index)
            key, values = one.get("key", ""), one.get("values") or []
            if not values:
                errors.append(field.required(path.child("values")))
            for number, value in enumerate(values):
                if value in values[:number]:
                    errors.append(field.duplicate(path.child("values").index(number), value))
            names.label_name(errors, path.child("key"), key)
            if key in seen:
                errors.append(field.duplicate(path.child("key"), key))
            seen[key] = set(values)
        if seen in raw:
            errors.append(field.duplicate(here.child("matchLabelExpressions"), ""))
        raw.append(seen)


class VolumeAttributesClassStrategy(Strategy):
    """Volume attributes classes."""

    has_status = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        provisioner(errors, Path("driverName"), obj.get("driverName", ""))
        parameters(errors, obj.get("parameters") or {}, required=True)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        if new.get("driverName") != old.get("driverName"):
            errors.append(field.forbidden(Path("driverName"), "updates to driverName are forbidden."))
        if (new.get("parameters") or {}) != (old.get("parameters") or {}):
            errors.append(field.forbidden(Path("parameters"), "updates to parameters are forbidden."))
        return errors
