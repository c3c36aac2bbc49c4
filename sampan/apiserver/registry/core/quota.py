"""LimitRanges and ResourceQuotas."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field, quantity
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec.defaults import round_up
from sampan.apiserver.registry.core.resourcenames import (
    container_resource_name,
    is_overcommit_allowed,
    is_standard_quota,
    quantity_value,
    quota_resource_name,
    resource_name,
)
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_LIMITS = Path("spec").child("limits")
_LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_KINDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_MAX_MILLI = ((1 << 63) - 1) // 1000


class LimitRangeStrategy(Strategy):
    """Limit ranges."""

    allow_create_on_update = True
    has_status = False
    tracks_generation = False

    def default(self, obj: Object) -> None:
        for limit in (obj.get("spec") or {}).get("limits") or ():
            for kind in _KINDS:
                if kind in limit:
                    round_up(limit[kind])
            if limit.get("type") == "Container":
                _default_limit(limit)

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        seen: set[str] = set()
        for position, limit in enumerate((obj.get("spec") or {}).get("limits") or ()):
            here, kind = _LIMITS.index(position), limit.get("type", "")
            _limit_type(errors, here.child("type"), kind)
            if kind in seen:
                errors.append(field.duplicate(here.child("type"), kind))
            seen.add(kind)
            _limit(errors, here, limit, kind)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)


def _default_limit(limit: Object) -> None:
    default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
    request = {**(limit.get("min") or {}), **default, **(limit.get("defaultRequest") or {})}
    if default:
        limit["default"] = default
    if request:
        limit["defaultRequest"] = request


def _limit_type(errors: Errors, path: Path, kind: str) -> None:
    before = len(errors)
    names.qualified_name(errors, path, kind)
    if len(errors) == before and "/" not in kind and kind not in _LIMIT_TYPES:
        errors.append(field.invalid(path, kind, "must be a standard limit type or fully qualified"))


def _limit(errors: Errors, path: Path, limit: Object, kind: str) -> None:
    check = container_resource_name if kind in ("Pod", "Container") else resource_name
    amounts: dict[str, dict[str, str]] = {}
    for name in _KINDS:
        values = limit.get(name) or {}
        if kind == "Pod" and name in ("default", "defaultRequest"):
            if values:
                errors.append(field.forbidden(path.child(name), "may not be specified when `type` is 'Pod'"))
            continue
        bounds = (limit.get("min") or {}).keys() | (limit.get("max") or {}).keys()
        if name == "maxLimitRequestRatio" and kind == "PersistentVolumeClaim" and "storage" not in bounds:
            detail = "either minimum or maximum storage value is required, but neither was provided"
            errors.append(field.required(path.child("limits"), detail))
        for resource in values:
            check(errors, path.child(name).key(resource), resource)
        amounts[name] = values
    for resource in dict.fromkeys(one for values in amounts.values() for one in values):
        _resource_limits(errors, path, resource, {name: values.get(resource) for name, values in amounts.items()})


def _resource_limits(errors: Errors, path: Path, resource: str, amounts: dict[str, str | None]) -> None:
    low, high = amounts.get("min"), amounts.get("max")
    default, request = amounts.get("default"), amounts.get("defaultRequest")
    ratio = amounts.get("maxLimitRequestRatio")

    def check(where: str, shown: str | None, less: str | None, more: str | None, text: str) -> None:
        if less is not None and more is not None and quantity.compare(less, more) > 0:
            here = path.child(where).key(resource)
            errors.append(field.invalid(here, shown, text.format(less, more)))

    check("min", low, low, high, "min value {} is greater than max value {}")
    check("defaultRequest", request, low, request, "min value {} is greater than default request value {}")
    check("defaultRequest", request, request, high, "default request value {} is greater than max value {}")
    check(
        "defaultRequest", request, request, default, "default request value {} is greater than default limit value {}"
    )
    check("default", low, low, default, "min value {} is greater than default value {}")
    check("default", high, default, high, "default value {} is greater than max value {}")
    if ratio is not None:
        _ratio(errors, path.child("maxLimitRequestRatio").key(resource), ratio, low, high)
    both = default is not None and request is not None and not is_overcommit_allowed(resource)
    if both and quantity.compare(default or "0", request or "0") != 0:
        detail = f"default value {default} must equal to defaultRequest value {request} in {resource}"
        errors.append(field.invalid(path.child("defaultRequest").key(resource), request, detail))


def _ratio(errors: Errors, path: Path, ratio: str, low: str | None, high: str | None) -> None:
    if quantity.parse(ratio) < 1:
        errors.append(field.invalid(path, ratio, f"ratio {ratio} is less than 1"))
    if low is None or high is None:
        return
    values = [quantity.to_int(one) for one in (ratio, low, high)]
    if all(one < _MAX_MILLI for one in values):
        numbers = [float(quantity.milli_value(one)) for one in (ratio, low, high)]
        numbers[0] /= 1000
    else:
        numbers = [float(one) for one in values]
    limit = numbers[2] / numbers[1] if numbers[1] else float("inf")
    if numbers[0] > limit:
        errors.append(field.invalid(path, ratio, f"ratio {ratio} is greater than max/min = {limit:f}"))


_SCOPES = frozenset({
    "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
})  # fmt: skip
_POD_RESOURCES = frozenset({
    "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory", "pods", "ephemeral-storage",
    "requests.ephemeral-storage", "limits.ephemeral-storage",
})  # fmt: skip
_PAIRS = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_ONLY_EXISTS = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def _fits(scope: str, resource: str) -> bool:
    if scope == "BestEffort":
        return resource == "pods"
    if scope == "VolumeAttributesClass":
        return resource in ("persistentvolumeclaims", "requests.storage")
    if scope in _SCOPES:
        return resource in _POD_RESOURCES or resource.startswith(("hugepages-", "requests.hugepages-"))
    return True


class ResourceQuotaStrategy(Strategy):
    """Resource quotas."""

    tracks_generation = False

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if "hard" in spec:
            round_up(spec["hard"])

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        _quota_spec(errors, obj["spec"])
        _status(errors, obj)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        _quota_spec(errors, new["spec"])
        scopes = new["spec"].get("scopes") or []
        if set(scopes) != set(old["spec"].get("scopes") or ()):
            errors.append(field.invalid(Path("spec").child("scopes"), scopes or None, "field is immutable"))
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        _status(errors, new)
        return errors


def _status(errors: Errors, obj: Object) -> None:
    for kind in ("hard", "used"):
        _amounts(errors, Path("status").child(kind), (obj.get("status") or {}).get(kind) or {})


def _amounts(errors: Errors, path: Path, amounts: dict[str, str]) -> None:
    for name, value in amounts.items():
        quota_resource_name(errors, path.key(name), name)
        quantity_value(errors, path.key(name), name, value)


def _quota_spec(errors: Errors, spec: Object) -> None:
    path = Path("spec")
    _amounts(errors, path.child("hard"), spec.get("hard") or {})
    limited = sorted(name for name in spec.get("hard") or () if is_standard_quota(name))
    scopes: list[str] = spec.get("scopes") or []
    for scope in scopes:
        if scope not in _SCOPES:
            errors.append(field.invalid(path.child("scopes"), scopes, "unsupported scope"))
        for name in limited:
            if not _fits(scope, name):
                detail = "unsupported scope applied to resource"
                errors.append(field.invalid(path.child("scopes"), scopes, detail))
    _conflicts(errors, path.child("scopes"), scopes, scopes)
    if "scopeSelector" in spec:
        _selector(errors, path.child("scopeSelector", "matchExpressions"), spec, limited)


def _conflicts(errors: Errors, path: Path, used: list[str], shown: list[str] | None) -> None:
    for pair in _PAIRS:
        if all(one in used for one in pair):
            errors.append(field.invalid(path, shown, "conflicting scopes"))


def _selector(errors: Errors, path: Path, spec: Object, limited: list[str]) -> None:
    expressions = spec["scopeSelector"].get("matchExpressions") or ()
    for one in expressions:
        scope, operator, values = one.get("scopeName", ""), one.get("operator", ""), one.get("values") or []
        if scope not in _SCOPES:
            errors.append(field.invalid(path.child("scopeName"), scope, "unsupported scope"))
        for name in limited:
            if not _fits(scope, name):
                shown = gotypes.internal("core.v1.ScopeSelector", spec["scopeSelector"])
                errors.append(field.invalid(path, shown, "unsupported scope applied to resource"))
        if scope in _SCOPES - {"PriorityClass", "VolumeAttributesClass"} and operator != "Exists":
            errors.append(field.invalid(path.child("operator"), operator, _ONLY_EXISTS))
        if operator in ("In", "NotIn"):
            if not values:
                detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                errors.append(field.required(path.child("values"), detail))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                errors.append(field.invalid(path.child("values"), values, detail))
        else:
            errors.append(field.invalid(path.child("operator"), operator, "not a valid selector operator"))
    _conflicts(errors, path, [one.get("scopeName", "") for one in expressions], spec.get("scopes"))
