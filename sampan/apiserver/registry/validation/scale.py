"""The autoscaling/v1 Scale of a workload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.api.object import Object

_COPIED = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def replicas_scale(obj: Object, selector: str) -> Object:
    """Build the Scale of a workload with spec.replicas and status.replicas. selector: in string form."""
    metadata = obj["metadata"]
    spec: dict[str, Any] = {}
    if replicas := obj["spec"].get("replicas", 0):
        spec["replicas"] = replicas
    status: dict[str, Any] = {"replicas": (obj.get("status") or {}).get("replicas", 0)}
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in _COPIED if key in metadata},
        "spec": spec,
        "status": status,
    }


def selector_text(selector: Object) -> str:
    """Spell a selector in object form as text, as Go's labels.Selector does: by key."""
    parts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        key, operator = one["key"], one["operator"]
        values = ",".join(sorted(one.get("values") or ()))
        text = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }[operator]
        parts.append((key, text))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))
