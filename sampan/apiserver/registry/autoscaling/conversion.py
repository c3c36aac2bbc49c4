"""autoscaling/v1 from and to v2: one CPU metric has a field in v1, all else goes into annotations as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from sampan.api.object import Object

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_FLAT = {"averageUtilization": "targetAverageUtilization", "averageValue": "targetAverageValue", "value": "targetValue"}
_NOW = {
    "averageUtilization": "currentAverageUtilization",
    "averageValue": "currentAverageValue",
    "value": "currentValue",
}


def copied(obj: Object) -> Object:
    """Copy deeply enough for `to_v2`."""
    found: Object = orjson.loads(orjson.dumps(obj))
    return found


def has_metrics(obj: Object) -> bool:
    """Whether a v1 object holds metrics in its annotation."""
    return METRICS in ((obj.get("metadata") or {}).get("annotations") or {})


def _parsed(text: str | None) -> Any:
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def to_v2(obj: Object) -> Object:
    """Turn a v1 object into v2, in place."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.setdefault("status", {})
    annotations = dict(metadata.get("annotations") or {})
    items = [_nested(one, "target", _FLAT) for one in _parsed(annotations.pop(METRICS, None)) or ()]
    wanted = spec.pop("targetCPUUtilizationPercentage", None)
    if wanted is not None:
        target = {"type": "Utilization", "averageUtilization": wanted}
        items.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if items:
        spec["metrics"] = items
    if (behavior := _parsed(annotations.pop(BEHAVIOR, None))) is not None:
        spec["behavior"] = behavior
    current = [_nested(one, "current", _NOW) for one in _parsed(annotations.pop(CURRENT, None)) or ()]
    now = status.pop("currentCPUUtilizationPercentage", None)
    if now is not None and not current:
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": now}}}]
    status["currentMetrics"] = current or None
    if conditions := _parsed(annotations.pop(CONDITIONS, None)):
        status["conditions"] = conditions
    if not status.get("currentReplicas"):
        status.pop("currentReplicas", None)
    _annotate(metadata, annotations)
    obj["apiVersion"] = "autoscaling/v2"
    return obj


def to_v1(obj: Object) -> Object:
    """Turn a stored v2 object into v1, in place."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.setdefault("status", {})
    annotations = dict(metadata.get("annotations") or {})
    others = []
    for one in spec.pop("metrics", None) or ():
        resource = one.get("resource") or {}
        target = resource.get("target") or {}
        is_cpu = resource.get("name") == "cpu" and target.get("averageUtilization") is not None
        if is_cpu and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
        else:
            others.append(_flat(one, "target", _FLAT))
    if others:
        annotations[METRICS] = orjson.dumps(others).decode()
    if (behavior := spec.pop("behavior", None)) is not None:
        annotations[BEHAVIOR] = orjson.dumps(_go_behavior(behavior)).decode()
    current = status.pop("currentMetrics", None) or ()
    for one in current:
        resource = one.get("resource") or {}
        if resource.get("name") == "cpu" and "averageUtilization" in (resource.get("current") or {}):
            status["currentCPUUtilizationPercentage"] = resource["current"]["averageUtilization"]
    if current:
        annotations[CURRENT] = orjson.dumps([_flat(one, "current", _NOW) for one in current]).decode()
    if conditions := status.pop("conditions", None):
        annotations[CONDITIONS] = orjson.dumps(conditions).decode()
    for key in ("currentReplicas", "desiredReplicas"):
        status.setdefault(key, 0)
    _annotate(metadata, annotations)
    obj["apiVersion"] = "autoscaling/v1"
    return obj


def _annotate(metadata: Object, annotations: dict[str, str]) -> None:
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)


def _go_behavior(behavior: Object) -> Object:
    # The annotation holds the internal type, whose field names are Go's.
    return {key[0].upper() + key[1:]: value for key, value in behavior.items()}


def _flat(metric: Object, key: str, names: dict[str, str]) -> Object:
    """Spell a metric as v1 does: the target's values beside the source's."""
    kind = metric.get("type", "")
    source_key = kind[:1].lower() + kind[1:]
    source = dict(metric.get(source_key) or {})
    target = source.pop(key, None) or {}
    flat: Object = {}
    if source_key == "object":
        flat["target"] = source.get("describedObject")
        flat["metricName"] = (source.get("metric") or {}).get("name", "")
    elif source_key in ("pods", "external"):
        flat["metricName"] = (source.get("metric") or {}).get("name", "")
    else:
        flat.update(source)
    if (selector := (source.get("metric") or {}).get("selector")) is not None:
        flat["metricSelector" if source_key == "external" else "selector"] = selector
    for name, old in names.items():
        if name in target:
            renamed = "averageValue" if source_key == "object" and name == "averageValue" else old
            flat[renamed] = target[name]
    return {"type": kind, source_key: flat}


def _nested(metric: Object, key: str, names: dict[str, str]) -> Object:
    """The reverse of `_flat`."""
    kind = metric.get("type", "")
    source_key = kind[:1].lower() + kind[1:]
    flat = metric.get(source_key) or {}
    source: Object = {name: flat[name] for name in ("name", "container") if name in flat}
    if source_key == "object":
        source["describedObject"] = flat.get("target") or {}
    if source_key in ("object", "pods", "external"):
        source["metric"] = {"name": flat.get("metricName", "")}
        selector = flat.get("metricSelector") or flat.get("selector")
        if selector is not None:
            source["metric"]["selector"] = selector
    value: Object = {}
    for name, old in names.items():
        if old in flat:
            value[name] = flat[old]
    if source_key == "object" and "averageValue" in flat:
        value["averageValue"] = flat["averageValue"]
    if key == "target":
        kinds = {"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}
        value = {"type": next((kinds[name] for name in names if name in value), ""), **value}
    source[key] = value
    return {"type": kind, source_key: source}
