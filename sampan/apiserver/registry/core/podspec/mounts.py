"""Volume mounts and block devices of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.core.podspec.paths import local_descending
from sampan.apiserver.registry.validation import names

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors


def mounts(errors: Errors, path: Path, container: Object, volumes: dict[str, Object]) -> None:
    """``volumeMounts`` of one container. volumes: the pod's valid volumes."""
    points: set[str] = set()
    devices = {one.get("name", ""): one.get("devicePath", "") for one in container.get("volumeDevices") or ()}
    for position, mount in enumerate(container["volumeMounts"]):
        name, point = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errors.append(field.required(path.index(position).child("name")))
        if name not in volumes:
            errors.append(field.not_found(path.index(position).child("name"), name))
        if not point:
            errors.append(field.required(path.index(position).child("mountPath")))
        if point in points:
            errors.append(field.invalid(path.index(position).child("mountPath"), point, "must be unique"))
        points.add(point)
        if name in devices:
            detail = "must not already exist in volumeDevices"
            errors.append(field.invalid(path.index(position).child("name"), name, detail))
        if point in devices.values():
            detail = "must not already exist as a path in volumeDevices"
            errors.append(field.invalid(path.index(position).child("mountPath"), point, detail))
        if len(mount) > 2:
            _options(errors, path, position, mount, container)


def _options(errors: Errors, path: Path, position: int, mount: Object, container: Object) -> None:
    sub_path, expression = mount.get("subPath", ""), mount.get("subPathExpr", "")
    here = path.index(position)
    if sub_path:
        local_descending(errors, path.child("subPath"), sub_path)
    if expression:
        if sub_path:
            detail = "subPathExpr and subPath are mutually exclusive"
            errors.append(field.invalid(here.child("subPathExpr"), expression, detail))
        local_descending(errors, path.child("subPathExpr"), expression)
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        _propagation(errors, path.child("mountPropagation"), propagation, container)
    recursive = mount.get("recursiveReadOnly")
    if recursive is not None:
        _recursive(errors, path.child("recursiveReadOnly"), recursive, mount)


def _propagation(errors: Errors, path: Path, value: str, container: Object) -> None:
    names.one_of(errors, path, value, ("Bidirectional", "HostToContainer", "None"))
    if value == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        detail = "Bidirectional mount propagation is available only to privileged containers"
        errors.append(field.forbidden(path, detail))


def _recursive(errors: Errors, path: Path, value: str, mount: Object) -> None:
    if value in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            errors.append(field.forbidden(path, "may only be specified when readOnly is true"))
        if mount.get("mountPropagation", "None") != "None":
            detail = "may only be specified when mountPropagation is None or not specified"
            errors.append(field.forbidden(path, detail))
    else:
        names.one_of(errors, path, value, ("Disabled", "Enabled", "IfPossible"))


def devices(errors: Errors, path: Path, container: Object, volumes: dict[str, Object]) -> None:
    """``volumeDevices`` of one container."""
    mounted = {one.get("name", ""): one.get("mountPath", "") for one in container.get("volumeMounts") or ()}
    seen_paths: set[str] = set()
    seen_names: set[str] = set()
    for position, device in enumerate(container["volumeDevices"]):
        here = path.index(position)
        name, point = device.get("name", ""), device.get("devicePath", "")
        volume = volumes.get(name)
        names.required(errors, here.child("name"), name)
        if name in seen_names:
            errors.append(field.invalid(here.child("name"), name, "must be unique"))
        if volume is None:
            errors.append(field.not_found(here.child("name"), name))
        elif "persistentVolumeClaim" not in volume and "ephemeral" not in volume:
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errors.append(field.invalid(here.child("name"), name, detail))
        names.required(errors, here.child("devicePath"), point)
        if point in seen_paths:
            errors.append(field.invalid(here.child("devicePath"), point, "must be unique"))
        if ".." in point.split("/"):
            errors.append(field.invalid(here.child("devicePath"), point, "can not contain backsteps ('..')"))
        else:
            seen_paths.add(point)
        if name in mounted:
            errors.append(field.invalid(here.child("name"), name, "must not already exist in volumeMounts"))
        if point in mounted.values():
            detail = "must not already exist as a path in volumeMounts"
            errors.append(field.invalid(here.child("devicePath"), point, detail))
        if name:
            seen_names.add(name)
