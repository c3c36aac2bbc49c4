"""Specs of persistent volume claims: in claims, in StatefulSets and in ephemeral volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field, quantity
from sampan.apiserver.registry.core.resourcenames import quantity_value
from sampan.apiserver.registry.validation import names, selectors
from sampan.apiserver.registry.validation.numbers import positive_quantity

if TYPE_CHECKING:
    from sampan.api.field import Path
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def access_modes(errors: Errors, path: Path, modes: list[str]) -> None:
    """Known modes, ReadWriteOncePod alone."""
    for mode in modes:
        names.one_of(errors, path, mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES[:3] for mode in modes):
        errors.append(field.forbidden(path, "may not use ReadWriteOncePod with other access modes"))


def claim_template(errors: Errors, path: Path, template: Object) -> None:
    """The template of a generic ephemeral volume: only labels and annotations as metadata."""
    metadata = template.get("metadata") or {}
    here = path.child("metadata")
    selectors.annotation_keys(errors, here.child("annotations"), metadata.get("annotations"))
    selectors.labels(errors, here.child("labels"), metadata.get("labels"))
    for key in metadata:
        if key not in ("annotations", "labels") and metadata[key]:
            name = {"uid": "uID"}.get(key, key)
            errors.append(field.forbidden(here.child(name), "cannot be set"))
    claim_spec(errors, path.child("spec"), template.get("spec") or {})


def claim_spec(errors: Errors, path: Path, spec: Object, *, old: Object | None = None) -> None:
    """old: of an update; faults that it had are tolerated."""
    modes = spec.get("accessModes") or []
    if not modes:
        errors.append(field.required(path.child("accessModes"), "at least 1 access mode is required"))
    tolerant = old is not None and not selectors.is_valid(old.get("selector"))
    selectors.label_selector(errors, path.child("selector"), spec.get("selector"), allow_invalid_values=tolerant)
    access_modes(errors, path.child("accessModes"), modes)
    _storage(errors, path.child("resources").key("storage"), spec)
    if spec.get("storageClassName"):
        names.dns_subdomain(errors, path.child("storageClassName"), spec["storageClassName"])
    if "volumeMode" in spec:
        names.one_of(errors, path.child("volumeMode"), spec["volumeMode"], VOLUME_MODES)
    _sources(errors, path, spec, old)
    if spec.get("volumeAttributesClassName"):
        name = spec["volumeAttributesClassName"]
        names.dns_subdomain(errors, path.child("volumeAttributesClassName"), name)


def _storage(errors: Errors, path: Path, spec: Object) -> None:
    requests = (spec.get("resources") or {}).get("requests") or {}
    value = requests.get("storage")
    if value is None:
        errors.append(field.required(path))
    elif quantity.parse(value) <= 0:
        positive_quantity(errors, path, value)
    else:
        quantity_value(errors, path, "storage", value)


def _sources(errors: Errors, path: Path, spec: Object, old: Object | None) -> None:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    any_group = old is not None and any("apiGroup" in (old.get(name) or {}) for name in ("dataSource", "dataSourceRef"))
    if source is not None:
        _data_source(errors, path.child("dataSource"), source, any_group=any_group)
    if reference is not None:
        _data_source(errors, path.child("dataSourceRef"), reference, any_group=any_group)
        if reference.get("namespace"):
            names.dns_label(errors, path.child("dataSourceRef", "namespace"), reference["namespace"])
    if source is None or reference is None:
        return
    # The bad value is the path itself, an object without exported fields.
    if reference.get("namespace"):
        detail = "may not be specified when dataSourceRef.namespace is specified"
        errors.append(field.invalid(path, {}, detail))
    elif any(source.get(key) != reference.get(key) for key in ("apiGroup", "kind", "name")):
        errors.append(field.invalid(path, {}, "must match dataSourceRef"))


def _data_source(errors: Errors, path: Path, source: Object, *, any_group: bool) -> None:
    kind, group = source.get("kind", ""), source.get("apiGroup") or ""
    names.required(errors, path.child("name"), source.get("name"))
    names.required(errors, path.child("kind"), kind)
    if not group and kind != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        errors.append(field.invalid(path, kind, detail))
    if group and not any_group:
        names.dns_subdomain(errors, path.child("apiGroup"), group)
