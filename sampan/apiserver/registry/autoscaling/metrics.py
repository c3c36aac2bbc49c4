"""Metrics and behaviour of autoscalers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field, quantity
from sampan.apiserver.registry.validation import names, selectors

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_SOURCES = {
    "Object": "object", "Pods": "pods", "Resource": "resource", "External": "external",
    "ContainerResource": "containerResource",
}  # fmt: skip
_TARGETS = ("Utilization", "Value", "AverageValue")
_MAX_WINDOW = 3600
_MAX_PERIOD = 1800
_BOTH = "may not set both a target raw value and a target utilization"


def metrics(errors: Errors, path: Path, items: list[Object], minimum: int | None) -> None:
    """minimum: minReplicas; zero needs a metric that is there without pods."""
    for position, one in enumerate(items):
        _metric(errors, path.index(position), one)
    if minimum == 0 and not any(one.get("type") in ("Object", "External") for one in items):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        errors.append(field.forbidden(path, detail))


def _metric(errors: Errors, path: Path, metric: Object) -> None:
    kind = metric.get("type", "")
    if not kind:
        errors.append(field.required(path.child("type"), "must specify a metric source type"))
    elif kind not in _SOURCES:
        errors.append(field.not_supported(path.child("type"), kind, tuple(sorted(_SOURCES))))
    checks = {
        "object": _object, "external": _external, "pods": _pods, "resource": _resource,
        "containerResource": _container_resource,
    }  # fmt: skip
    given = [key for key in checks if metric.get(key) is not None]
    if given:
        checks[given[0]](errors, path.child(given[0]), metric[given[0]])
    expected = _SOURCES.get(kind, "")
    if expected and expected not in given:
        detail = "must populate information for the given metric source"
        errors.append(field.required(path.child(expected), detail))
    elif not expected:
        # Reported once as the type's value, once as the source that it should name.
        errors.append(field.not_supported(path.child("type"), kind, tuple(sorted(_SOURCES))))
    if len(given) != 1:
        for key in given:
            if key != expected:
                errors.append(field.forbidden(path.child(key), "must populate the given metric source only"))


def _object(errors: Errors, path: Path, source: Object) -> None:
    described = source.get("describedObject") or {}
    for key in ("kind", "name"):
        if not described.get(key):
            errors.append(field.required(path.child("describedObject", key)))
    _identifier(errors, path.child("metric"), source.get("metric") or {})
    target = source.get("target") or {}
    _target(errors, path.child("target"), target)
    if target.get("value") is None and target.get("averageValue") is None:
        detail = "must set either a target value or averageValue"
        errors.append(field.required(path.child("target", "averageValue"), detail))


def _external(errors: Errors, path: Path, source: Object) -> None:
    _identifier(errors, path.child("metric"), source.get("metric") or {})
    target = source.get("target") or {}
    _target(errors, path.child("target"), target)
    has_value, has_average = target.get("value") is not None, target.get("averageValue") is not None
    if not has_value and not has_average:
        detail = "must set either a target value for metric or a per-pod target"
        errors.append(field.required(path.child("target", "averageValue"), detail))
    if has_value and has_average:
        detail = "may not set both a target value for metric and a per-pod target"
        errors.append(field.forbidden(path.child("target", "value"), detail))


def _pods(errors: Errors, path: Path, source: Object) -> None:
    _identifier(errors, path.child("metric"), source.get("metric") or {})
    target = source.get("target") or {}
    _target(errors, path.child("target"), target)
    value = target.get("averageValue")
    if value is None or quantity.parse(value) <= 0:
        detail = "must specify a positive target averageValue"
        errors.append(field.required(path.child("target", "averageValue"), detail))


def _container_resource(errors: Errors, path: Path, source: Object) -> None:
    if not source.get("name"):
        errors.append(field.required(path.child("name"), "must specify a resource name"))
    if not source.get("container"):
        errors.append(field.required(path.child("container"), "must specify a container"))
    _resource_target(errors, path, source)


def _resource(errors: Errors, path: Path, source: Object) -> None:
    if not source.get("name"):
        errors.append(field.required(path.child("name"), "must specify a resource name"))
    _resource_target(errors, path, source)


def _resource_target(errors: Errors, path: Path, source: Object) -> None:
    target = source.get("target") or {}
    _target(errors, path.child("target"), target)
    has_utilization, has_value = target.get("averageUtilization") is not None, target.get("averageValue") is not None
    if not has_utilization and not has_value:
        detail = "must set either a target raw value or a target utilization"
        errors.append(field.required(path.child("target", "averageUtilization"), detail))
    if has_utilization and has_value:
        errors.append(field.forbidden(path.child("target", "averageValue"), _BOTH))


def _target(errors: Errors, path: Path, target: Object) -> None:
    kind = target.get("type", "")
    if not kind:
        errors.append(field.required(path.child("type"), "must specify a metric target type"))
    if kind not in _TARGETS:
        detail = "must be either Utilization, Value, or AverageValue"
        errors.append(field.invalid(path.child("type"), kind, detail))
    for key in ("value", "averageValue"):
        value = target.get(key)
        if value is not None and quantity.parse(value) <= 0:
            errors.append(field.invalid(path.child(key), value, "must be positive"))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        errors.append(field.invalid(path.child("averageUtilization"), utilization, "must be greater than 0"))


def _identifier(errors: Errors, path: Path, metric: Object) -> None:
    name = metric.get("name", "")
    if not name:
        errors.append(field.required(path.child("name"), "must specify a metric name"))
    else:
        names.path_segment(errors, path.child("name"), name)
    selectors.label_selector(errors, path.child("selector"), metric.get("selector"))


def behavior(errors: Errors, path: Path, value: Object) -> None:
    for key in ("scaleUp", "scaleDown"):
        rules = value.get(key)
        if rules is not None:
            _rules(errors, path.child(key), rules)


def _rules(errors: Errors, path: Path, rules: Object) -> None:
    window = rules.get("stabilizationWindowSeconds")
    where = path.child("stabilizationWindowSeconds")
    if window is not None and window < 0:
        errors.append(field.invalid(where, window, "must be greater than or equal to zero"))
    if window is not None and window > _MAX_WINDOW:
        errors.append(field.invalid(where, window, f"must be less than or equal to {_MAX_WINDOW}"))
    select = rules.get("selectPolicy")
    if select is not None:
        names.one_of(errors, path.child("selectPolicy"), select, ("Disabled", "Max", "Min"))
    policies = rules.get("policies") or []
    if not policies:
        errors.append(field.required(path.child("policies"), "must specify at least one Policy"))
    for position, policy in enumerate(policies):
        _policy(errors, path.child("policies").index(position), policy)
    tolerance = rules.get("tolerance")
    if tolerance is not None and quantity.parse(tolerance) < 0:
        errors.append(field.invalid(path.child("tolerance"), tolerance, "must be greater than or equal to zero"))


def _policy(errors: Errors, path: Path, policy: Object) -> None:
    names.one_of(errors, path.child("type"), policy.get("type", ""), ("Percent", "Pods"))
    for key in ("value", "periodSeconds"):
        value = policy.get(key, 0)
        if value <= 0:
            errors.append(field.invalid(path.child(key), value, "must be greater than zero"))
    period = policy.get("periodSeconds", 0)
    if period > _MAX_PERIOD:
        detail = f"must be less than or equal to {_MAX_PERIOD}"
        errors.append(field.invalid(path.child("periodSeconds"), period, detail))
