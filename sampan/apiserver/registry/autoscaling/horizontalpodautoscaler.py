"""HorizontalPodAutoscalers: stored as autoscaling/v2; v1 keeps what it cannot say in annotations."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.autoscaling import conversion
from sampan.apiserver.registry.autoscaling.metrics import behavior, metrics
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names, numbers

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_STATUS = Path("status")
_SCALE_UP: tuple[Object, ...] = (
    {"type": "Pods", "value": 4, "periodSeconds": 15},
    {"type": "Percent", "value": 100, "periodSeconds": 15},
)
_SCALE_DOWN: tuple[Object, ...] = ({"type": "Percent", "value": 100, "periodSeconds": 15},)


class HorizontalPodAutoscalerStrategy(Strategy):
    """autoscaling/v2, the version that is stored."""

    tracks_generation = False

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("minReplicas") is None:
            spec["minReplicas"] = 1
        if not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": 80}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        if spec.get("behavior") is not None:
            _default_rules(spec["behavior"], "scaleUp", _SCALE_UP, window=0)
            _default_rules(spec["behavior"], "scaleDown", _SCALE_DOWN, window=None)

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        _spec(errors, self.to_v2(obj)["spec"])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate(ctx, new)

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        numbers.nonnegative_fields(errors, _STATUS, new.get("status") or {}, "currentReplicas", "desiredReplicas")
        return errors

    def to_v2(self, obj: Object) -> Object:
        """The object as the stored version has it; obj stays as it is."""
        return obj


class HorizontalPodAutoscalerV1Strategy(HorizontalPodAutoscalerStrategy):
    """autoscaling/v1."""

    version_annotations = (
        conversion.METRICS, conversion.CURRENT, conversion.CONDITIONS, conversion.BEHAVIOR,
    )  # fmt: skip

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("minReplicas") is None:
            spec["minReplicas"] = 1
        # As a v2 object it would get the same metric; only then, since v1 objects may hold others in an annotation.
        if spec.get("targetCPUUtilizationPercentage") is None and not conversion.has_metrics(obj):
            spec["targetCPUUtilizationPercentage"] = 80

    def to_stored(self, obj: Object) -> Object:
        return conversion.to_v2(obj)

    def from_stored(self, obj: Object) -> Object:
        return conversion.to_v1(obj)

    def to_v2(self, obj: Object) -> Object:
        return conversion.to_v2(conversion.copied(obj))


def _default_rules(holder: Object, key: str, policies: tuple[Object, ...], *, window: int | None) -> None:
    rules = holder.get(key)
    if rules is None:
        rules = holder[key] = {}
    if not rules.get("selectPolicy"):
        rules["selectPolicy"] = "Max"
    if rules.get("stabilizationWindowSeconds") is None and window is not None:
        rules["stabilizationWindowSeconds"] = window
    if "policies" not in rules or rules["policies"] is None:
        rules["policies"] = [dict(one) for one in policies]


def _spec(errors: Errors, spec: Object) -> None:
    minimum, maximum = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if minimum is not None and minimum < 1:
        where = _SPEC.child("minReplicas")
        errors.append(field.invalid(where, minimum, "must be greater than or equal to 1"))
    if maximum < 1:
        errors.append(field.required(_SPEC.child("maxReplicas"), "must be set and greater than 0"))
    if minimum is not None and maximum < minimum:
        detail = "must be greater than or equal to `minReplicas`"
        errors.append(field.invalid(_SPEC.child("maxReplicas"), maximum, detail))
    _reference(errors, _SPEC.child("scaleTargetRef"), spec.get("scaleTargetRef") or {})
    metrics(errors, _SPEC.child("metrics"), spec.get("metrics") or [], minimum)
    if spec.get("behavior") is not None:
        behavior(errors, _SPEC.child("behavior"), spec["behavior"])


def _reference(errors: Errors, path: Path, reference: Object) -> None:
    for key in ("kind", "name"):
        value = reference.get(key, "")
        if not value:
            errors.append(field.required(path.child(key)))
        else:
            names.path_segment(errors, path.child(key), value)
    version = reference.get("apiVersion", "")
    if version.count("/") > 1:
        errors.append(field.invalid(path.child("apiVersion"), version, f"unexpected GroupVersion string: {version}"))
    elif "/" not in version and reference.get("kind") != "ReplicationController":
        errors.append(field.invalid(path.child("apiVersion"), version, "apiVersion must specify API group"))
