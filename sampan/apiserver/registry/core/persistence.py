"""PersistentVolumes and PersistentVolumeClaims."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field, quantity, times
from sampan.api.field import Path
from sampan.apiserver.registry.core.persistentvolumerules import SOURCES, volume_spec
from sampan.apiserver.registry.core.podspec import defaults
from sampan.apiserver.registry.core.podspec.claimspec import claim_spec
from sampan.apiserver.registry.core.podspec.options import has_invalid_values
from sampan.apiserver.registry.core.podspec.warnings import claim_warnings, term_warnings
from sampan.apiserver.registry.core.resourcenames import is_native, quantity_value
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_OLD_CLASS = (
    f'metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; use "storageClassName" attribute instead'
)
_IMMUTABLE = "field is immutable"
_VOLUME_DEFAULTS = {
    "hostPath": defaults.default_host_path, "iscsi": defaults.default_iscsi, "rbd": defaults.default_rbd,
    "scaleIO": defaults.default_scaleio, "azureDisk": defaults.default_azure_disk,
}  # fmt: skip
_GA_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}
_RESIZE = (
    "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible",
    "NodeResizePending",
)  # fmt: skip


class PersistentVolumeStrategy(Strategy):
    """Persistent volumes."""

    tracks_generation = False

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        obj.setdefault("status", {}).setdefault("phase", "Pending")
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")
        for kind, function in _VOLUME_DEFAULTS.items():
            if kind in spec:
                function(spec[kind])
        if spec.get("capacity"):
            defaults.round_up(spec["capacity"])

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        now = times.format_time(ctx.clock.time())
        obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": now}

    def prepare_for_status_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        status, before = new.setdefault("status", {}), old.get("status") or {}
        if status.get("phase") != before.get("phase"):
            if status.get("lastPhaseTransitionTime") == before.get("lastPhaseTransitionTime"):
                status["lastPhaseTransitionTime"] = times.format_time(ctx.clock.time())
        elif "lastPhaseTransitionTime" not in status and "lastPhaseTransitionTime" in before:
            status["lastPhaseTransitionTime"] = before["lastPhaseTransitionTime"]

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        volume_spec(errors, _SPEC, obj["spec"], obj["metadata"].get("name", ""))
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        after, before = new["spec"], old["spec"]
        required = (before.get("nodeAffinity") or {}).get("required") or {}
        tolerant = has_invalid_values(required.get("nodeSelectorTerms"))
        volume_spec(errors, _SPEC, after, new["metadata"].get("name", ""), tolerant=tolerant)
        _same_source(errors, after, before)
        if after.get("volumeMode") != before.get("volumeMode"):
            errors.append(field.invalid(Path("volumeMode"), after.get("volumeMode"), _IMMUTABLE))
        if "nodeAffinity" in before and _with_ga_labels(before["nodeAffinity"], after.get("nodeAffinity")):
            shown = (
                gotypes.internal("core.v1.VolumeNodeAffinity", after["nodeAffinity"])
                if "nodeAffinity" in after
                else None
            )
            detail = f"{_IMMUTABLE}, except for updating from beta label to GA"
            errors.append(field.invalid(Path("nodeAffinity"), shown, detail))
        if "volumeAttributesClassName" in before and "volumeAttributesClassName" not in after:
            detail = "update from non-nil value to nil is forbidden"
            errors.append(field.forbidden(_SPEC.child("volumeAttributesClassName"), detail))
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found, spec = [], obj["spec"]
        if CLASS_ANNOTATION in (obj["metadata"].get("annotations") or {}):
            found.append(_OLD_CLASS)
        if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
            found.append(
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
                "Instead, the recommended approach is to use dynamic provisioning."
            )
        terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
        path = _SPEC.child("nodeAffinity", "required", "nodeSelectorTerms")
        for position, term in enumerate(terms):
            found += term_warnings(path.index(position), term)
        return found

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        return self.warnings_on_create(ctx, new) if not ctx.subresource else []


def _same_source(errors: Errors, after: Object, before: Object) -> None:
    now = {kind: after[kind] for kind in SOURCES if kind in after}
    earlier = {kind: before[kind] for kind in SOURCES if kind in before}
    if "csi" in now and "csi" in earlier and "controllerExpandSecretRef" not in earlier["csi"]:
        kept = {key: value for key, value in now["csi"].items() if key != "controllerExpandSecretRef"}
        now["csi"] = kept
    if now != earlier:
        changes = gotypes.difference("core.v1.PersistentVolumeSource", earlier, now)
        detail = f"spec.persistentvolumesource is immutable after creation\n{changes}"
        errors.append(field.forbidden(_SPEC.child("persistentvolumesource"), detail))


def _with_ga_labels(before: Any, after: Any) -> bool:
    """Whether node affinity differs in more than a label's newer name."""
    if isinstance(before, dict) and isinstance(after, dict):
        if before.keys() != after.keys():
            return True
        return any(
            after[key] not in (value, _GA_LABELS.get(value))
            if key == "key" and isinstance(value, str)
            else _with_ga_labels(value, after[key])
            for key, value in before.items()
        )
    if isinstance(before, list) and isinstance(after, list):
        return len(before) != len(after) or any(map(_with_ga_labels, before, after))
    return bool(before != after)


class PersistentVolumeClaimStrategy(Strategy):
    """Persistent volume claims."""

    tracks_generation = False

    def default(self, obj: Object) -> None:
        obj.setdefault("status", {}).setdefault("phase", "Pending")
        defaults.default_claim_spec(obj.setdefault("spec", {}))

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {"phase": "Pending"}
        _mirror_source(obj["spec"])

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        _mirror_source(new["spec"])
        if "volumeMode" not in new["spec"] and "volumeMode" in old["spec"]:
            new["spec"]["volumeMode"] = old["spec"]["volumeMode"]

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        claim_spec(errors, _SPEC, obj["spec"])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        claim_spec(errors, _SPEC, new["spec"], old=old["spec"])
        _claim_change(errors, new, old)
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        if not new["spec"].get("accessModes"):
            errors.append(field.required(Path("Spec").child("accessModes")))
        status, path = new.get("status") or {}, Path("status")
        for name, value in (status.get("capacity") or {}).items():
            _not_negative(errors, path.child("capacity").key(name), value)
        where = path.child("allocatedResourceStatus")
        for name, state in (status.get("allocatedResourceStatuses") or {}).items():
            _claim_resource(errors, where, name)
            if state not in _RESIZE:
                errors.append(field.not_supported(where, name, _RESIZE))
        where = path.child("allocatedResources")
        for name, value in (status.get("allocatedResources") or {}).items():
            if not _claim_resource(errors, where, name) and not _not_negative(errors, where.key(name), value):
                quantity_value(errors, where.key(name), "storage", value)
        return errors

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        found = []
        if CLASS_ANNOTATION in (obj["metadata"].get("annotations") or {}):
            found.append(_OLD_CLASS)
        return found + claim_warnings(_SPEC, obj["spec"])

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        return self.warnings_on_create(ctx, new) if not ctx.subresource else []


def _mirror_source(spec: Object) -> None:
    """DataSource is the older spelling of dataSourceRef; each fills in the other."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = {key: value for key, value in reference.items() if key != "namespace"}


def _not_negative(errors: Errors, path: Path, value: str) -> bool:
    if quantity.parse(value) >= 0:
        return False
    errors.append(field.invalid(path, quantity.to_int(value), "must be a valid resource quantity"))
    return True


def _claim_resource(errors: Errors, path: Path, name: str) -> bool:
    before = len(errors)
    names.qualified_name(errors, path, name)
    if len(errors) == before and is_native(name) and name != "storage":
        errors.append(field.not_supported(path, name, ("storage",)))
    return len(errors) > before


def _annotation(obj: Object) -> str | None:
    found: str | None = (obj["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    return found


def _claim_change(errors: Errors, new: Object, old: Object) -> None:
    after, before = dict(new["spec"]), dict(old["spec"])
    if not before.get("volumeName") and after.get("volumeName"):
        before["volumeName"] = after["volumeName"]
    _class_change(errors, new, old, after, before)
    if (new.get("status") or {}).get("phase") == "Bound":
        _resizable(after, before)
    if after != before:
        changes = gotypes.difference("core.v1.PersistentVolumeClaimSpec", before, after)
        what = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        errors.append(field.forbidden(_SPEC, f"{what}\n{changes}"))
    _sizes(errors, new, old)
    if new["spec"].get("volumeMode") != old["spec"].get("volumeMode"):
        errors.append(field.invalid(Path("volumeMode"), new["spec"].get("volumeMode"), _IMMUTABLE))
    now, earlier = new["spec"].get("volumeAttributesClassName"), old["spec"].get("volumeAttributesClassName")
    if now != earlier and earlier is not None and not now:
        what = "nil" if now is None else "an empty string"
        detail = f"update from non-nil value to {what} is forbidden"
        errors.append(field.forbidden(_SPEC.child("volumeAttributesClassName"), detail))


def _class_change(errors: Errors, new: Object, old: Object, after: Object, before: Object) -> None:
    """A class may move from the old annotation to the field, and be set where there was none."""
    was, now = _annotation(old), _annotation(new)
    upgraded = (
        was is not None
        and "storageClassName" not in before
        and after.get("storageClassName") == was
        and now in (None, was)
    )
    if upgraded:
        del after["storageClassName"]
        return
    if (was or "") != (now or ""):
        where = Path("metadata").child("annotations", CLASS_ANNOTATION)
        errors.append(field.invalid(where, now or "", _IMMUTABLE))
    if "storageClassName" not in before and "storageClassName" in after and was in (None, after["storageClassName"]):
        del after["storageClassName"]


def _resizable(after: Object, before: Object) -> None:
    resources = after.get("resources") or {}
    storage = ((before.get("resources") or {}).get("requests") or {}).get("storage")
    if "requests" in resources and storage is not None:
        after["resources"] = {**resources, "requests": {**resources["requests"], "storage": storage}}
    if "volumeAttributesClassName" in after:
        if "volumeAttributesClassName" in before:
            after["volumeAttributesClassName"] = before["volumeAttributesClassName"]
        else:
            del after["volumeAttributesClassName"]


def _sizes(errors: Errors, new: Object, old: Object) -> None:
    def storage(holder: Object, *keys: str) -> Any:
        for key in keys:
            holder = holder.get(key) or {}
        return quantity.parse(holder.get("storage", "0"))

    size = storage(new["spec"], "resources", "requests")
    if size < storage(old["spec"], "resources", "requests") and size <= storage(old, "status", "capacity"):
        where = _SPEC.child("resources", "requests", "storage")
        errors.append(field.forbidden(where, "field can not be less than status.capacity"))
