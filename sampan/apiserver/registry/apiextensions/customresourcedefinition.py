"""CustomResourceDefinitions: names, versions, columns and conversion.

Messages speak of the unversioned type, where what all versions have in common stands at the top of the spec.
"""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.apiextensions.definition import FINALIZER
from sampan.apiserver.apiextensions.naming import set_condition
from sampan.apiserver.registry import metadata as meta
from sampan.apiserver.registry.admissionregistration.webhooks import client_config
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_APPROVED = "api-approved.kubernetes.io"
_APPROVAL = f'protected groups must have approval annotation "{_APPROVED}", see '
_SEE = "https://github.com/kubernetes/enhancements/pull/1111"
_PRESERVE = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("", "byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_INTERNAL = (
    ("Name", "name", ""),
    ("Served", "served", False),
    ("Storage", "storage", False),
    ("Deprecated", "deprecated", False),
    ("DeprecationWarning", "deprecationWarning", None),
    ("Schema", "schema", None),
    ("Subresources", "subresources", None),
    ("AdditionalPrinterColumns", "additionalPrinterColumns", None),
    ("SelectableFields", "selectableFields", None),
)


class CustomResourceDefinitionStrategy(Strategy):
    """Definitions of custom resources; what makes them served sets their status."""

    name_kind = "subdomain"
    allow_unconditional_update = False

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        kinds = spec.setdefault("names", {})
        kind = kinds.get("kind", "")
        if not kinds.get("singular"):
            kinds["singular"] = kind.lower()
        if not kinds.get("listKind") and kind:
            kinds["listKind"] = f"{kind}List"
        conversion = spec.setdefault("conversion", {"strategy": "None"})
        service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
        if service is not None and service.get("port") is None:
            service["port"] = 443

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": None}
        _note_storage_version(obj)

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        _note_storage_version(new)

    def mark_deleted(self, ctx: WriteContext, obj: Object) -> bool:
        """The instances go first: a finalizer holds the definition until the last one has gone."""
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            return False
        now = ctx.clock.time()
        metadata["deletionTimestamp"] = meta.now_text(now)
        conditions = obj["status"]["conditions"] = list(obj["status"].get("conditions") or ())
        message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
        set_condition(conditions, "Terminating", "True", "InstanceDeletionPending", message, now)
        if FINALIZER not in (metadata.get("finalizers") or ()):
            metadata["finalizers"] = [*(metadata.get("finalizers") or ()), FINALIZER]
        return True

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors = _validate(obj)
        _approval(errors, obj)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors = _validate(new)
        established = any(
            one.get("type") == "Established" and one.get("status") == "True"
            for one in (old.get("status") or {}).get("conditions") or ()
        )
        after, before = new["spec"], old["spec"]
        fixed = [(_SPEC.child("group"), after.get("group", ""), before.get("group", ""))]
        kinds = _SPEC.child("names")
        if established:
            fixed.append((_SPEC.child("scope"), after.get("scope", ""), before.get("scope", "")))
            fixed.append((kinds.child("kind"), after["names"].get("kind", ""), before["names"].get("kind", "")))
        fixed.append((kinds.child("plural"), after["names"].get("plural", ""), before["names"].get("plural", "")))
        errors += [field.invalid(path, now, "field is immutable") for path, now, then in fixed if now != then]
        if after.get("group") != before.get("group"):
            _approval(errors, new)
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        _stored_versions(errors, new)
        return errors


def _note_storage_version(obj: Object) -> None:
    """Remember the version that objects are stored in, in status.storedVersions."""
    status = obj.setdefault("status", {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}})
    for version in obj["spec"].get("versions") or ():
        if version.get("storage"):
            stored = status.get("storedVersions") or []
            if version.get("name", "") not in stored:
                status["storedVersions"] = [*stored, version.get("name", "")]
            return


def _validate(obj: Object) -> Errors:
    errors: Errors = []
    spec = obj["spec"]
    plural, group = spec["names"].get("plural", ""), spec.get("group", "")
    if obj["metadata"].get("name", "") != f"{plural}.{group}":
        detail = 'must be spec.names.plural+"."+spec.group'
        errors.append(field.invalid(Path("metadata").child("name"), obj["metadata"].get("name", ""), detail))
    if not group:
        errors.append(field.required(_SPEC.child("group")))
    else:
        found = len(errors)
        names.dns_subdomain(errors, _SPEC.child("group"), group)
        if len(errors) == found and "." not in group:
            errors.append(field.invalid(_SPEC.child("group"), group, "should be a domain with at least one dot"))
    names.one_of_required(errors, _SPEC.child("scope"), spec.get("scope", ""), ("Cluster", "Namespaced"))
    if spec.get("preserveUnknownFields"):
        errors.append(field.invalid(_SPEC.child("preserveUnknownFields"), True, _PRESERVE))
    shared = _versions(errors, spec)
    _names(errors, spec["names"])
    if shared:
        _details(errors, _SPEC, spec["versions"][0], {key for key, common in shared.items() if common}, top=True)
    _conversion(errors, spec.get("conversion") or {})
    _stored_versions(errors, obj)
    return errors


def _common(versions: list[Object], key: str) -> bool:
    """Whether all versions agree on a field, so that it stands at the top of the unversioned spec."""
    return all(one.get(key) == versions[0].get(key) for one in versions)


def _versions(errors: Errors, spec: Object) -> dict[str, bool]:
    versions: list[Object] = spec.get("versions") or []
    shared = {key: _common(versions, key) for _, key, _ in _INTERNAL[5:]} if versions else {}
    path = _SPEC.child("versions")
    for position, version in enumerate(versions):
        where = path.index(position)
        names.dns1035_label(errors, where.child("name"), version.get("name", ""))
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            errors.append(field.required(where.child("schema").child("openAPIV3Schema")))
        if version.get("deprecationWarning") is not None and not version.get("deprecated"):
            detail = "can only be set for deprecated versions"
            errors.append(field.invalid(where.child("deprecationWarning"), version["deprecationWarning"], detail))
        _details(errors, where, version, {key for key, common in shared.items() if not common})
    internal = [_internal(version, shared) for version in versions]
    if len({version.get("name", "") for version in versions}) != len(versions):
        errors.append(field.invalid(path, internal, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        errors.append(field.invalid(path, internal, "must have exactly one version marked as storage version"))
    if versions and versions[0].get("name"):
        names.dns1035_label(errors, _SPEC.child("version"), versions[0]["name"])
    return shared


def _internal(version: Object, shared: dict[str, bool]) -> Object:
    """Name a version's fields as the unversioned type does."""
    return {name: empty if shared.get(key) else version.get(key, empty) for name, key, empty in _INTERNAL}


def _details(errors: Errors, path: Path, version: Object, keys: set[str], *, top: bool = False) -> None:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if "schema" in keys and schema is not None:
        from sampan.apiserver.registry.apiextensions.schemarules import check_schema  # noqa: PLC0415 - loads CEL's types

        has_status = (version.get("subresources") or {}).get("status") is not None
        where = path.child("validation" if top else "schema").child("openAPIV3Schema")
        errors += check_schema(schema, where, has_status=has_status)
    if "subresources" in keys and (scale := (version.get("subresources") or {}).get("scale")) is not None:
        _scale(errors, path.child("subresources").child("scale"), scale)
    if "additionalPrinterColumns" in keys:
        for position, column in enumerate(version.get("additionalPrinterColumns") or ()):
            _column(errors, path.child("additionalPrinterColumns").index(position), column)
    if "selectableFields" in keys and version.get("selectableFields"):
        from sampan.apiserver.registry.apiextensions.schemarules import check_selectable  # noqa: PLC0415

        errors += check_selectable(version, schema, path.child("selectableFields"))


def _simple_path(errors: Errors, path: Path, value: str) -> bool:
    if not value:
        errors.append(field.invalid(path, value, "must not be empty"))
    elif not value.startswith("."):
        errors.append(field.invalid(path, value, "must be a simple json path starting with ."))
    else:
        return True
    return False


def _scale(errors: Errors, path: Path, scale: Object) -> None:
    places = (("specReplicasPath", (".spec",)), ("statusReplicasPath", (".status",)))
    for key, roots in (*places, ("labelSelectorPath", (".spec", ".status"))):
        value = scale.get(key) or ""
        where = path.child(key)
        if not value:
            if key != "labelSelectorPath":
                errors.append(field.required(where))
        elif _simple_path(errors, where, value) and not value.startswith(tuple(f"{root}." for root in roots)):
            wanted = " or ".join(reversed(roots))
            errors.append(field.invalid(where, value, f"should be a json path under {wanted}"))


def _column(errors: Errors, path: Path, column: Object) -> None:
    if not column.get("name"):
        errors.append(field.required(path.child("name")))
    kind = column.get("type", "")
    if not kind:
        errors.append(field.required(path.child("type"), f"must be one of {','.join(_COLUMN_TYPES)}"))
    elif kind not in _COLUMN_TYPES:
        errors.append(field.invalid(path.child("type"), kind, f"must be one of {','.join(_COLUMN_TYPES)}"))
    if column.get("format", "") not in _COLUMN_FORMATS:
        detail = f"must be one of {','.join(_COLUMN_FORMATS[1:])}"
        errors.append(field.invalid(path.child("format"), column["format"], detail))
    if not column.get("jsonPath"):
        errors.append(field.required(path.child("JSONPath")))
    else:
        _simple_path(errors, path.child("JSONPath"), column["jsonPath"])


def _names(errors: Errors, kinds: Object) -> None:
    path = _SPEC.child("names")
    if not kinds.get("plural"):
        errors.append(field.required(path.child("plural")))
    else:
        names.dns1035_label(errors, path.child("plural"), kinds["plural"])
    if kinds.get("singular"):
        names.dns1035_label(errors, path.child("singular"), kinds["singular"])
    for key in ("kind", "listKind"):
        value = kinds.get(key, "")
        if not value:
            errors.append(field.required(path.child(key)))
        for message in names.lower_dns1035_messages(value) if value else ():
            detail = f"may have mixed case, but should otherwise match: {message}"
            errors.append(field.invalid(path.child(key), value, detail))
    for key in ("shortNames", "categories"):
        for position, value in enumerate(kinds.get(key) or ()):
            names.dns1035_label(errors, path.child(key).index(position), value)
    if kinds.get("kind") and kinds.get("kind") == kinds.get("listKind"):
        detail = "kind and listKind may not be the same"
        errors.append(field.invalid(path.child("listKind"), kinds["listKind"], detail))


def _conversion(errors: Errors, conversion: Object) -> None:
    path = _SPEC.child("conversion")
    strategy = conversion.get("strategy", "")
    names.one_of_required(errors, path.child("strategy"), strategy, ("None", "Webhook"))
    webhook = conversion.get("webhook") or {}
    client, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions")
    if strategy != "Webhook":
        detail = "should not be set when strategy is not set to Webhook"
        for key, value in (("webhookClientConfig", client), ("conversionReviewVersions", versions)):
            if value:
                errors.append(field.forbidden(path.child(key), detail))
        return
    if client is None:
        detail = "required when strategy is set to Webhook"
        errors.append(field.required(path.child("webhookClientConfig"), detail))
    else:
        client_config(errors, path.child("webhookClientConfig"), client, what="url or service")
    if not versions:
        errors.append(field.required(path.child("conversionReviewVersions")))
        return
    seen: set[Any] = set()
    for position, version in enumerate(versions):
        where = path.child("conversionReviewVersions").index(position)
        if version in seen:
            errors.append(field.duplicate(where, version))
        seen.add(version)
        names.dns1035_label(errors, where, version)
    if not seen & {"v1", "v1beta1"}:
        detail = "must include at least one of v1, v1beta1"
        errors.append(field.invalid(path.child("conversionReviewVersions"), versions, detail))


def _stored_versions(errors: Errors, obj: Object) -> None:
    stored: list[str] | None = (obj.get("status") or {}).get("storedVersions") or None
    path = Path("status").child("storedVersions")
    if not stored:
        errors.append(field.invalid(path, stored, "must have at least one stored version"))
        return
    versions = obj["spec"].get("versions") or ()
    known = {version.get("name", "") for version in versions}
    storage = [version.get("name", "") for version in versions if version.get("storage")]
    for position, one in enumerate(stored):
        if one not in known:
            errors.append(field.invalid(path.index(position), one, "must appear in spec.versions"))
    if storage and storage[-1] not in stored:
        errors.append(field.invalid(path, stored, f"must have the storage version {storage[-1]}"))


def _approval(errors: Errors, obj: Object) -> None:
    """Groups of the Kubernetes community need a pointer to their approval."""
    group = obj["spec"].get("group", "")
    if not f".{group}".endswith((".k8s.io", ".kubernetes.io")):
        return
    value = (obj["metadata"].get("annotations") or {}).get(_APPROVED, "")
    path = Path("metadata").child("annotations").key(_APPROVED)
    if not value:
        errors.append(field.required(path, _APPROVAL + _SEE))
    elif not value.startswith(("unapproved", "http://", "https://")):
        detail = f'protected groups must have approval annotation "{_APPROVED}" with either a URL or a reason starting '
        errors.append(field.invalid(path, value, f'{detail}with "unapproved", see {_SEE}'))
