"""Annotations that pods and pod templates give a meaning: older spellings of fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.api import field
from sampan.apiserver.registry.core.podspec.hostos import all_containers
from sampan.apiserver.registry.core.podspec.paths import local_descending

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.core.podspec.options import PodOptions
    from sampan.apiserver.registry.validation.names import Errors

MIRROR = "kubernetes.io/config.mirror"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_COST = re.compile(r"0|-?[1-9][0-9]*")
_LOCALHOST = "localhost/"


def pod_annotations(errors: Errors, path: Path, values: dict[str, str], spec: Object, options: PodOptions) -> None:
    """path: of the annotations."""
    if values.get(MIRROR) is not None and not spec.get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        errors.append(field.invalid(path.key(MIRROR), values[MIRROR], detail))
    cost = values.get(DELETION_COST)
    if cost is not None and not options.allow_invalid_deletion_cost and not _is_cost(cost):
        errors.append(field.invalid(path.key(DELETION_COST), cost, "must be a 32bit integer"))
    for key, value in values.items():
        if key == SECCOMP_POD or key.startswith(SECCOMP_CONTAINER):
            _seccomp(errors, path.child(key), value)
    for key, value in values.items():
        if key.startswith(APP_ARMOR):
            _app_armor(errors, path.key(key), key.removeprefix(APP_ARMOR), value, spec)


def _is_cost(text: str) -> bool:
    return _COST.fullmatch(text) is not None and -(2**31) <= int(text) < 2**31


def _seccomp(errors: Errors, path: Path, value: str) -> None:
    if value in ("runtime/default", "docker/default", "unconfined"):
        return
    if value.startswith(_LOCALHOST):
        local_descending(errors, path, value.removeprefix(_LOCALHOST))
    else:
        errors.append(field.invalid(path, value, "must be a valid seccomp profile"))


def _app_armor(errors: Errors, path: Path, name: str, value: str, spec: Object) -> None:
    if not any(container.get("name") == name for container, _ in all_containers(spec, path)):
        errors.append(field.invalid(path, name, "container not found"))
    if value not in ("", "runtime/default", "unconfined") and not value.startswith(_LOCALHOST):
        detail = f"invalid AppArmor profile name: {field.go_quote(value)}"
        errors.append(field.invalid(path, value, detail))


def annotation_updates(errors: Errors, path: Path, new: dict[str, str], old: dict[str, str]) -> None:
    """Annotations of a pod that cannot change."""
    for key, value in old.items():
        if new.get(key) == value:
            continue
        if key.startswith(APP_ARMOR):
            errors.append(field.forbidden(path.key(key), "may not remove or update AppArmor annotations"))
        if key == MIRROR:
            errors.append(field.forbidden(path.key(key), "may not remove or update mirror pod annotation"))
    for key in new:
        if key in old:
            continue
        if key.startswith(APP_ARMOR):
            errors.append(field.forbidden(path.key(key), "may not add AppArmor annotations"))
        if key == MIRROR:
            errors.append(field.forbidden(path.key(key), "may not add mirror pod annotation"))


def match_fields(errors: Errors, path: Path, values: dict[str, str], spec: Object) -> None:
    """Annotation and field for the same thing must say the same. path: of the spec."""
    if not any(key.startswith((APP_ARMOR, SECCOMP_CONTAINER)) or key == SECCOMP_POD for key in values):
        return
    context = spec.get("securityContext") or {}
    if "seccompProfile" in context and SECCOMP_POD in values:
        here = path.child("securityContext", "seccompProfile")
        _match(errors, here, "seccomp", values[SECCOMP_POD], context["seccompProfile"])
    for container, where in all_containers(spec, path):
        profile = (container.get("securityContext") or {}).get("seccompProfile")
        value = values.get(SECCOMP_CONTAINER + container.get("name", ""))
        if profile is not None and value is not None:
            _match(errors, where.child("securityContext", "seccompProfile"), "seccomp", value, profile)
    if (spec.get("os") or {}).get("name") == "windows":
        return
    for container, where in all_containers(spec, path):
        own = (container.get("securityContext") or {}).get("appArmorProfile") or context.get("appArmorProfile")
        value = values.get(APP_ARMOR + container.get("name", ""))
        if own is not None and value is not None:
            _match(errors, where.child("securityContext", "appArmorProfile"), "apparmor", value, own)


def _match(errors: Errors, path: Path, what: str, value: str, profile: Object) -> None:
    kind = profile.get("type", "")
    type_differs = f"{what} type in annotation and field must match"
    if kind == "Unconfined":
        matches = value == "unconfined"
    elif kind == "RuntimeDefault":
        matches = value == "runtime/default" or (what == "seccomp" and value == "docker/default")
    elif kind == "Localhost":
        matches = value.startswith(_LOCALHOST)
        if matches and value.removeprefix(_LOCALHOST) != profile.get("localhostProfile"):
            detail = f"{what} profile in annotation and field must match"
            errors.append(field.forbidden(path.child("localhostProfile"), detail))
    else:
        return
    if not matches:
        errors.append(field.forbidden(path.child("type"), type_differs))
