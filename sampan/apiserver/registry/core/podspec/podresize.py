"""Resizing running pods: cpu and memory of containers, through the resize subresource (``ValidatePodResize``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec.podannotations import MIRROR
from sampan.apiserver.registry.core.qos import pod_qos

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_KINDS = ("containers", "initContainers")
_ONLY = "only cpu and memory resources are mutable"


def keep_only_resize(new: Object, old: Object) -> None:
    """Put back from old all of a pod's spec but resources and resize policies.

    Added, removed or renamed containers are left to validation.
    """
    after, before = new["spec"], old["spec"]
    if any(len(after.get(kind) or ()) != len(before.get(kind) or ()) for kind in _KINDS):
        return
    merged = {kind: _merge(after.get(kind) or [], before.get(kind) or []) for kind in _KINDS}
    spec = dict(before)
    if "resources" in after:
        spec["resources"] = after["resources"]
    else:
        spec.pop("resources", None)
    spec.update({kind: containers for kind, containers in merged.items() if containers})
    new["spec"] = spec


def _merge(after: list[Object], before: list[Object]) -> list[Object]:
    if any(one.get("name") != other.get("name") for one, other in zip(after, before, strict=True)):
        return after
    result = []
    for one, other in zip(after, before, strict=True):
        merged = {key: value for key, value in other.items() if key not in ("resources", "resizePolicy")}
        merged |= {key: one[key] for key in ("resources", "resizePolicy") if key in one}
        result.append(merged)
    return result


def resize_update(errors: Errors, new: Object, old: Object) -> None:
    """new, old: the pods; the new one's spec is valid as such or its faults are in errors."""
    refusal = _unsupported(old)
    if refusal:
        errors[:] = [field.forbidden(Path(""), refusal)]
        return
    path = Path("spec")
    after, before = new["spec"], old["spec"]
    for kind in _KINDS:
        if len(after.get(kind) or ()) != len(before.get(kind) or ()):
            what = "containers" if kind == "containers" else "initContainers"
            detail = f"{what} may not be added or removed on resize"
            errors.append(field.forbidden(path.child(kind), detail))
            return
    if not _node_supports(old):
        errors.append(field.forbidden(path, "Pod running on node without support for resize"))
    for kind in ("initContainers", "containers"):
        for position, (one, other) in enumerate(zip(after.get(kind) or (), before.get(kind) or (), strict=True)):
            if kind == "containers" or other.get("restartPolicy") == "Always":
                _container(errors, path.child(kind).index(position).child("resources"), one, other)
    _only_resources(errors, path, after, before)
    if not errors and (old.get("status", {}).get("qosClass") or pod_qos(before)) != pod_qos(after):
        shown = new.get("status", {}).get("qosClass", "")
        errors.append(field.invalid(path, shown, "Pod QOS Class may not change as a result of resizing"))


def _unsupported(old: Object) -> str:
    if MIRROR in (old.get("metadata", {}).get("annotations") or {}):
        return "static pods cannot be resized"
    if (old["spec"].get("os") or {}).get("name") == "windows":
        return "windows pods cannot be resized"
    return ""


def _node_supports(pod: Object) -> bool:
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if "running" in (status.get("state") or {}):
            return "resources" in status
    return True


def _container(errors: Errors, path: Path, new: Object, old: Object) -> None:
    after, before = new.get("resources") or {}, old.get("resources") or {}
    for kind in ("requests", "limits"):
        if (before.get(kind) or {}).keys() - (after.get(kind) or {}).keys():
            errors.append(field.forbidden(path.child(kind), f"resource {kind} cannot be removed"))


def _only_resources(errors: Errors, path: Path, after: Object, before: Object) -> None:
    found = len(errors)
    munged = dict(after)
    for kind in _KINDS:
        containers = []
        for one, other in zip(after.get(kind) or (), before.get(kind) or (), strict=True):
            restored = _without_compute(one, other)
            if kind == "containers":
                if restored != other:
                    errors.append(field.forbidden(path, _ONLY))
            elif other.get("restartPolicy") == "Always":
                if restored != other:
                    detail = "only cpu and memory resources for sidecar containers are mutable"
                    errors.append(field.forbidden(path, detail))
            elif other not in (one, restored):
                errors.append(field.forbidden(path, "resources for non-sidecar init containers are immutable"))
            containers.append(restored)
        if containers:
            munged[kind] = containers
    munged = _pod_level(munged, before)
    if len(errors) == found and munged != before:
        errors.append(field.forbidden(path, _ONLY))


def _pod_level(munged: Object, before: Object) -> Object:
    if "resources" not in munged or "resources" not in before:
        return munged
    restored = _without_compute({"resources": munged["resources"]}, {"resources": before["resources"]})
    return {**munged, "resources": restored["resources"]}


def _without_compute(new: Object, old: Object) -> Object:
    """Copy new with old's cpu, memory and resize policy."""
    after, before = new.get("resources") or {}, old.get("resources") or {}
    resources = {key: value for key, value in after.items() if key not in ("limits", "requests")}
    for kind in ("limits", "requests"):
        amounts = {key: value for key, value in (after.get(kind) or {}).items() if key not in ("cpu", "memory")}
        amounts |= {key: value for key, value in (before.get(kind) or {}).items() if key in ("cpu", "memory")}
        if amounts:
            resources[kind] = amounts
    restored = {**new, "resources": resources}
    if "resources" not in old and not resources:
        del restored["resources"]
    restored.pop("resizePolicy", None)
    if "resizePolicy" in old:
        restored["resizePolicy"] = old["resizePolicy"]
    return restored
