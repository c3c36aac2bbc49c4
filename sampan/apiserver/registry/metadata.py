"""Metadata of every kind: what the system fills in, and the rules of ``ValidateObjectMeta`` and its update form.

The order of checks, and so of errors, is apimachinery's ``pkg/api/validation/objectmeta.go``.
"""

from __future__ import annotations

import os
import random
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from sampan.api import field, names
from sampan.api.field import Path
from sampan.api.gvk import GroupVersionKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.api.field import FieldError
    from sampan.api.object import Object

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_GENERATE_LIMIT = 63 - _SUFFIX_LENGTH
_UIDS_AT_ONCE = 256
_ANNOTATIONS_LIMIT = 256 * 1024
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_FORBIDDEN_OWNERS = frozenset({GroupVersionKind("", "v1", "Event")})
_META = Path("metadata")
IMMUTABLE = "field is immutable"
_IMMUTABLE_FIELDS = (
    "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
)  # fmt: skip


def now_text(seconds: float) -> str:
    """RFC 3339 with whole seconds, as `metav1.Time`."""
    return _second_text(int(seconds))


@lru_cache(maxsize=4)
def _second_text(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def generate_name(base: str) -> str:
    """A name that begins with base, cut to leave room for five random characters."""
    return base[:_GENERATE_LIMIT] + "".join(random.choices(_SUFFIX_LETTERS, k=_SUFFIX_LENGTH))  # noqa: S311 - no secret


_uid_source = bytearray()


def new_uid() -> str:
    """A random UUID (RFC 9562, version 4).

    The system's random bytes are fetched for many at a time: a system call for each would cost more than all else here.
    """
    if not _uid_source:
        _uid_source.extend(os.urandom(16 * _UIDS_AT_ONCE))
    text = _uid_source[-16:].hex()
    del _uid_source[-16:]
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def name_rule(kind: str) -> Callable[[str, bool], list[str]]:
    """The rule of a strategy's `name_kind`."""
    return _NAME_RULES[kind]


def _prefix(check: Callable[[str], list[str]]) -> Callable[[str, bool], list[str]]:
    """A prefix for generateName may end in dashes."""

    def rule(name: str, is_prefix: bool) -> list[str]:  # noqa: FBT001 - apimachinery's signature
        if is_prefix and len(name) > 1 and name.endswith("-"):
            name = name[:-2] + "a"
        return check(name)

    return rule


def _path_segment(name: str) -> list[str]:
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in name]


def _path_rule(name: str, is_prefix: bool) -> list[str]:  # noqa: FBT001
    if is_prefix:
        return [f"may not contain '{part}'" for part in ("/", "%") if part in name]
    return _path_segment(name)


@lru_cache(maxsize=1024)
def _namespace_rule(namespace: str) -> tuple[str, ...]:
    """What is wrong with a namespace's name; the same few are asked about all the time."""
    return tuple(names.is_dns1123_label(namespace))


def check_path_segment(name: str) -> list[str]:
    """Whether a name can stand in a URL's path; the rule for names in requests."""
    return _path_segment(name)


_NAME_RULES: dict[str, Callable[[str, bool], list[str]]] = {
    "subdomain": _prefix(names.is_dns1123_subdomain),
    "label": _prefix(names.is_dns1123_label),
    "label1035": _prefix(names.is_dns1035_label),
    "path": _path_rule,
    "none": lambda _name, _is_prefix: [],
}


def validate(metadata: Object, *, namespaced: bool, rule: Callable[[str, bool], list[str]]) -> list[FieldError]:
    """Check the metadata of a new object."""
    found: list[FieldError] = []
    if base := metadata.get("generateName"):
        found += [field.invalid(_META.child("generateName"), base, text) for text in rule(base, True)]
    name = metadata.get("name")
    if not name:
        found.append(field.required(_META.child("name"), "name or generateName is required"))
    else:
        found += [field.invalid(_META.child("name"), name, text) for text in rule(name, False)]
    namespace = metadata.get("namespace")
    if namespaced:
        if not namespace:
            found.append(field.required(_META.child("namespace"), ""))
        else:
            path = _META.child("namespace")
            found += [field.invalid(path, namespace, text) for text in _namespace_rule(namespace)]
    elif namespace:
        found.append(field.forbidden(_META.child("namespace"), "not allowed on this type"))
    if metadata.get("generation", 0) < 0:
        path = _META.child("generation")
        found.append(field.invalid(path, metadata["generation"], "must be greater than or equal to 0"))
    if labels := metadata.get("labels"):
        found += validate_labels(labels, _META.child("labels"))
    found += _maps_and_lists(metadata)
    return found


def _maps_and_lists(metadata: Object) -> list[FieldError]:
    found: list[FieldError] = []
    if annotations := metadata.get("annotations"):
        found += validate_annotations(annotations, _META.child("annotations"))
    if owners := metadata.get("ownerReferences"):
        found += _validate_owners(owners, _META.child("ownerReferences"))
    if finalizers := metadata.get("finalizers"):
        found += _validate_finalizers(finalizers, _META.child("finalizers"))
    if managed := metadata.get("managedFields"):
        found += _validate_managed(managed, _META.child("managedFields"))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Check changed metadata against the old."""
    found: list[FieldError] = []
    if old.get("deletionTimestamp"):
        known = old.get("finalizers") or ()
        added = [one for one in new.get("finalizers") or () if one not in known]
        if added:
            listed = ", ".join(f'"{one}"' for one in sorted(added))
            detail = (
                "no new finalizers can be added if the object is being deleted, found new finalizers "
                f"[]string{{{listed}}}"
            )
            found.append(field.forbidden(_META.child("finalizers"), detail))
    if not new.get("resourceVersion"):
        found.append(field.invalid(_META.child("resourceVersion"), "", "must be specified for an update"))
    if new.get("generation", 0) < old.get("generation", 0):
        found.append(field.invalid(_META.child("generation"), new.get("generation", 0), "must not be decremented"))
    found += [
        field.invalid(_META.child(key), new.get(key, _absent(key)), IMMUTABLE)
        for key in _IMMUTABLE_FIELDS
        if new.get(key) != old.get(key)
    ]
    if new.get("labels"):
        found += validate_labels(new["labels"], _META.child("labels"))
    if new.get("annotations"):
        found += validate_annotations(new["annotations"], _META.child("annotations"))
    if new.get("ownerReferences"):
        found += _validate_owners(new["ownerReferences"], _META.child("ownerReferences"))
    if new.get("managedFields"):
        found += _validate_managed(new["managedFields"], _META.child("managedFields"))
    return found


def _absent(key: str) -> str | None:
    return None if key in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds") else ""


def validate_labels(labels: Object, path: Path) -> list[FieldError]:
    """Keys and values of a label map, keys in order."""
    found: list[FieldError] = []
    for key in sorted(labels):
        found += [field.invalid(path, key, text) for text in names.is_qualified_name(key)]
        found += [field.invalid(path, labels[key], text) for text in names.is_valid_label_value(labels[key])]
    return found


def validate_annotations(annotations: Object, path: Path) -> list[FieldError]:
    """Keys and total size of annotations; the rule is case-insensitive."""
    found: list[FieldError] = []
    for key in sorted(annotations):
        found += [field.invalid(path, key, text) for text in names.is_qualified_name(key.lower())]
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _ANNOTATIONS_LIMIT:
        found.append(field.too_long(path, "", _ANNOTATIONS_LIMIT))
    return found


def _validate_owners(owners: list[Object], path: Path) -> list[FieldError]:
    found: list[FieldError] = []
    controller = ""
    for owner in owners:
        found += _validate_owner(owner, path)  # kube-apiserver does not say which one either
        if owner.get("controller"):
            name = f"{owner.get('kind', '')}/{owner.get('name', '')}"
            if controller:
                detail = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controller} and {name}"
                )
                found.append(field.invalid(path, owners, detail))
            else:
                controller = name
    return found


def _validate_owner(owner: Object, at: Path) -> list[FieldError]:
    found: list[FieldError] = []
    api_version = owner.get("apiVersion", "")
    gvk = GroupVersionKind.parse(api_version, owner.get("kind", ""))
    if not gvk.version:
        found.append(field.invalid(at.child("apiVersion"), api_version, "version must not be empty"))
    if not gvk.kind:
        found.append(field.invalid(at.child("kind"), "", "must not be empty"))
    if not owner.get("name"):
        found.append(field.invalid(at.child("name"), "", "must not be empty"))
    if not owner.get("uid"):
        found.append(field.invalid(at.child("uid"), "", "must not be empty"))
    if gvk in _FORBIDDEN_OWNERS:
        found.append(field.invalid(at, owner, f"/v1, Kind={gvk.kind} is disallowed from being an owner"))
    return found


def _validate_finalizers(finalizers: list[str], path: Path) -> list[FieldError]:
    found: list[FieldError] = []
    for position, one in enumerate(finalizers):
        at = path.index(position)
        found += [field.invalid(path, one, text) for text in names.is_qualified_name(one)]
        if "/" not in one and one not in _STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            found.append(field.invalid(at, one, detail))
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        found.append(field.invalid(path, finalizers, detail))
    return found


def _validate_managed(managed: list[Object], path: Path) -> list[FieldError]:
    found: list[FieldError] = []
    for position, entry in enumerate(managed):
        at = path.index(position)
        operation = entry.get("operation", "")
        if operation not in ("Apply", "Update"):
            found.append(field.invalid(at.child("operation"), operation, "must be `Apply` or `Update`"))
        fields_type = entry.get("fieldsType", "")
        if fields_type and fields_type != "FieldsV1":
            found.append(field.invalid(at.child("fieldsType"), fields_type, "must be `FieldsV1`"))
        manager = entry.get("manager", "")
        if len(manager.encode()) > 128:
            found.append(field.too_long(at.child("manager"), manager, 128))
        if len(entry.get("subresource", "")) > 256:
            found.append(field.too_long(at.child("subresource"), entry["subresource"], 256))
    return found
