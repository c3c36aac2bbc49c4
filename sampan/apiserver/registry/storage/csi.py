"""CSIDrivers, CSINodes, CSIStorageCapacities and VolumeAttachments."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.persistentvolumerules import volume_spec
from sampan.apiserver.registry.storage.classes import provisioner
from sampan.apiserver.registry.strategy import Strategy
from sampan.apiserver.registry.validation import gotypes, names, selectors
from sampan.apiserver.registry.validation.numbers import nonnegative_quantity

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_SPEC = Path("spec")
_IMMUTABLE = "field is immutable"
_MODES = ("Ephemeral", "Persistent")
_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")


class CSIDriverStrategy(Strategy):
    """CSI drivers."""

    has_status = False
    tracks_generation = False

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        for key, value in (
            ("attachRequired", True), ("podInfoOnMount", False), ("storageCapacity", False),
            ("fsGroupPolicy", "ReadWriteOnceWithFSType"), ("requiresRepublish", False), ("seLinuxMount", False),
        ):  # fmt: skip
            if spec.get(key) is None:
                spec[key] = value
        if not spec.get("volumeLifecycleModes"):
            spec["volumeLifecycleModes"] = ["Persistent"]

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        names.csi_driver_name(errors, Path("metadata").child("name"), obj["metadata"].get("name", ""))
        _driver_spec(errors, obj["spec"])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        after, before = new["spec"], old["spec"]
        _driver_spec(errors, after)
        if after.get("attachRequired") != before.get("attachRequired"):
            errors.append(field.invalid(_SPEC.child("attachedRequired"), after.get("attachRequired"), _IMMUTABLE))
        if after.get("fsGroupPolicy") != before.get("fsGroupPolicy"):
            errors.append(field.invalid(_SPEC.child("fsGroupPolicy"), after.get("fsGroupPolicy"), _IMMUTABLE))
        if after.get("volumeLifecycleModes") != before.get("volumeLifecycleModes"):
            value = after.get("volumeLifecycleModes")
            errors.append(field.invalid(_SPEC.child("volumeLifecycleModes"), value, _IMMUTABLE))
        return errors


def _driver_spec(errors: Errors, spec: Object) -> None:
    for key in ("attachRequired", "podInfoOnMount", "storageCapacity"):
        if spec.get(key) is None:
            errors.append(field.required(_SPEC.child(key)))
    if spec.get("fsGroupPolicy") is not None:
        names.one_of(errors, _SPEC.child("fsGroupPolicy"), spec["fsGroupPolicy"], _GROUP_POLICIES)
    seen: set[str] = set()
    for position, request in enumerate(spec.get("tokenRequests") or ()):
        path = _SPEC.child("tokenRequests").index(position)
        audience, seconds = request.get("audience", ""), request.get("expirationSeconds")
        if audience in seen:
            errors.append(field.duplicate(path.child("audience"), audience))
        seen.add(audience)
        if seconds is not None and seconds < 600:
            detail = "may not specify a duration less than 10 minutes"
            errors.append(field.invalid(path.child("expirationSeconds"), seconds, detail))
        if seconds is not None and seconds > 1 << 32:
            detail = "may not specify a duration larger than 2^32 seconds"
            errors.append(field.invalid(path.child("expirationSeconds"), seconds, detail))
    for one in spec.get("volumeLifecycleModes") or ():
        names.one_of(errors, _SPEC.child("volumeLifecycleModes"), one, _MODES)
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < 10:
        where = _SPEC.child("nodeAllocatableUpdatePeriodSeconds")
        errors.append(field.invalid(where, period, "must be greater than or equal to 10 seconds"))


class CSINodeStrategy(Strategy):
    """CSI nodes: which drivers run where."""

    has_status = False
    tracks_generation = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        return self._validate(obj, None)

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors = self._validate(new, old)
        before = {one.get("name"): one for one in (old.get("spec") or {}).get("drivers") or ()}
        for position, one in enumerate((new.get("spec") or {}).get("drivers") or ()):
            earlier = before.get(one.get("name"))
            if earlier is None:
                continue
            changed = {key: value for key, value in one.items() if key != "allocatable"}
            if changed != {key: value for key, value in earlier.items() if key != "allocatable"}:
                path = _SPEC.child("drivers").index(position)
                errors.append(field.invalid(path, gotypes.internal("storage.v1.CSINodeDriver", one), _IMMUTABLE))
        return errors

    @staticmethod
    def _validate(obj: Object, old: Object | None) -> Errors:
        errors: Errors = []
        seen: set[str] = set()
        known = {one.get("nodeID") for one in ((old or {}).get("spec") or {}).get("drivers") or ()}
        for position, one in enumerate((obj.get("spec") or {}).get("drivers") or ()):
            path = _SPEC.child("drivers").index(position)
            name, node = one.get("name", ""), one.get("nodeID", "")
            names.csi_driver_name(errors, path.child("name"), name)
            limit = 192
            if not node:
                errors.append(field.required(path.child("nodeID")))
            elif len(node) > limit and node not in known:
                detail = f"must be {limit} characters or less"
                errors.append(field.invalid(path.child("nodeID"), node, detail))
            count = (one.get("allocatable") or {}).get("count")
            if count is not None and count < 0:
                where = path.child("allocatable", "count")
                errors.append(field.invalid(where, count, "must be greater than or equal to 0"))
            if name in seen:
                errors.append(field.duplicate(path.child("name"), name))
            seen.add(name)
            keys = one.get("topologyKeys") or []
            for index, key in enumerate(keys):
                if key in keys[:index]:
                    errors.append(field.duplicate(path, key))
                names.qualified_name(errors, path, key)
        return errors


class CSIStorageCapacityStrategy(Strategy):
    """Storage capacities, as drivers report them."""

    has_status = False

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        selectors.label_selector(errors, Path("nodeTopology"), obj.get("nodeTopology"))
        names.dns_subdomain(errors, Path("storageClassName"), obj.get("storageClassName", ""))
        for key in ("capacity", "maximumVolumeSize"):
            if obj.get(key) is not None:
                nonnegative_quantity(errors, Path(key), obj[key])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        for key in ("nodeTopology", "storageClassName"):
            if new.get(key) != old.get(key):
                value = gotypes.metadata(new.get(key))
                errors.append(field.invalid(Path(key), value, _IMMUTABLE))
        return errors


class VolumeAttachmentStrategy(Strategy):
    """Volume attachments."""

    tracks_generation = False
    selectable = ("spec.attacher", "spec.nodeName")

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        spec = obj.get("spec") or {}
        return {"spec.attacher": spec.get("attacher", ""), "spec.nodeName": spec.get("nodeName", "")}

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec = obj.get("spec") or {}
        self._spec(errors, spec)
        names.csi_driver_name(errors, _SPEC.child("attacher"), spec.get("attacher", ""))
        name = (spec.get("source") or {}).get("persistentVolumeName")
        if name:
            names.dns_subdomain(errors, _SPEC.child("source", "persistentVolumeName"), name)
        self._status(errors, obj)
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        spec = new.get("spec") or {}
        self._spec(errors, spec)
        if spec != old.get("spec"):
            shown = gotypes.internal("storage.v1.VolumeAttachmentSpec", spec)
            errors.append(field.invalid(_SPEC, shown, _IMMUTABLE))
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        self._status(errors, new)
        return errors

    @staticmethod
    def _spec(errors: Errors, spec: Object) -> None:
        provisioner(errors, _SPEC.child("attacher"), spec.get("attacher", ""))
        names.dns_subdomain(errors, _SPEC.child("nodeName"), spec.get("nodeName", ""))
        source, path = spec.get("source") or {}, _SPEC.child("source")
        inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
        if inline is None and name is None:
            detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
            errors.append(field.required(path, detail))
        if inline is not None and name is not None:
            detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
            errors.append(field.forbidden(path, detail))
        if name == "":
            errors.append(
                field.required(path.child("persistentVolumeName"), "must specify non empty persistentVolumeName")
            )
        if inline is not None:
            volume_spec(errors, path.child("inlineVolumeSpec"), inline, "", inline=True)

    @staticmethod
    def _status(errors: Errors, obj: Object) -> None:
        status = obj.get("status") or {}
        for kind in ("attachError", "detachError"):
            message = (status.get(kind) or {}).get("message", "")
            if len(message) > 1024:
                errors.append(field.too_long(Path("status").child(kind, "message"), message, 1024))
