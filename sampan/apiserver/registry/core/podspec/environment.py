"""Environment of containers: names, and where values come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.names import is_relaxed_env_var_name
from sampan.apiserver.registry.core.podspec import downward
from sampan.apiserver.registry.core.podspec.paths import local_nonreserved
from sampan.apiserver.registry.validation import names

if TYPE_CHECKING:
    from collections.abc import Collection

    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_KINDS = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ONE_OF = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"


def variables(errors: Errors, path: Path, items: list[Object], volumes: Collection[str]) -> None:
    """``env``. volumes: names of the pod's volumes."""
    for position, item in enumerate(items):
        name = item.get("name", "")
        if not name:
            errors.append(field.required(path.index(position).child("name")))
        elif not name.isidentifier() and (messages := is_relaxed_env_var_name(name)):
            names.report(errors, path.index(position).child("name"), name, messages)
        source = item.get("valueFrom")
        if source is not None:
            _source(errors, path.index(position).child("valueFrom"), source, item.get("value", ""), volumes)


def _source(errors: Errors, path: Path, source: Object, value: str, volumes: Collection[str]) -> None:
    if "fieldRef" in source:
        downward.object_field(errors, path.child("fieldRef"), source["fieldRef"], downward.ENV_FIELDS)
    if "resourceFieldRef" in source:
        downward.resource_field(errors, path.child("resourceFieldRef"), source["resourceFieldRef"], in_volume=False)
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            _key(errors, path.child(kind), source[kind])
    if "fileKeyRef" in source:
        _file_key(errors, path.child("fileKeyRef"), source["fileKeyRef"], volumes)
    count = sum(kind in source for kind in _KINDS)
    if count == 0:
        errors.append(field.invalid(path, "", _ONE_OF))
    elif value:
        errors.append(field.invalid(path, "", "may not be specified when `value` is not empty"))
    elif count > 1:
        errors.append(field.invalid(path, "", "may not have more than one field specified at a time"))


def _key(errors: Errors, path: Path, reference: Object) -> None:
    names.dns_subdomain(errors, path.child("name"), reference.get("name", ""))
    key = reference.get("key", "")
    if not key:
        errors.append(field.required(path.child("key")))
    else:
        names.config_key(errors, path.child("key"), key)


def _file_key(errors: Errors, path: Path, reference: Object, volumes: Collection[str]) -> None:
    volume = reference.get("volumeName", "")
    if not volume:
        errors.append(field.required(path.child("volumeName")))
    else:
        names.dns_label(errors, path.child("volumeName"), volume)
        if volume not in volumes:
            errors.append(field.not_found(path.child("volumeName"), volume))
    key = reference.get("key", "")
    if not key:
        errors.append(field.required(path.child("key")))
    else:
        names.report(errors, path.child("key"), key, is_relaxed_env_var_name(key))
    file = reference.get("path", "")
    if not file:
        errors.append(field.required(path.child("path")))
    else:
        local_nonreserved(errors, path.child("path"), file)


def bulk_sources(errors: Errors, path: Path, items: list[Object]) -> None:
    """``envFrom``."""
    for position, item in enumerate(items):
        prefix = item.get("prefix", "")
        if prefix:
            names.report(errors, path.index(position).child("prefix"), prefix, is_relaxed_env_var_name(prefix))
        for kind in ("configMapRef", "secretRef"):
            if kind in item:
                name = item[kind].get("name", "")
                here = path.index(position).child(kind, "name")
                if not name:
                    errors.append(field.required(here))
                else:
                    # Kubernetes checks it as a prefix, which may end with a dash.
                    names.report(
                        errors, here, name, names.subdomain_messages(name[:-1] + "a" if name[-1] == "-" else name)
                    )
        count = ("configMapRef" in item) + ("secretRef" in item)
        if count == 0:
            errors.append(field.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif count > 1:
            errors.append(field.invalid(path, "", "may not have more than one field specified at a time"))
