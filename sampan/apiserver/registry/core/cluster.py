"""Namespaces, nodes, service accounts and component statuses."""

# ruff: noqa: ARG002 - a strategy's methods have the arguments that any kind may need

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec import scheduling
from sampan.apiserver.registry.core.podspec.warnings import deprecated_label
from sampan.apiserver.registry.core.resourcenames import quantity_value
from sampan.apiserver.registry.strategy import FieldPaths, Strategy
from sampan.apiserver.registry.validation import addresses, gotypes, names

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.strategy import WriteContext
    from sampan.apiserver.registry.validation.names import Errors

_PHASE = Path("status").child("Phase")
_CIDRS = Path("spec").child("podCIDRs")
NAME_LABEL = "kubernetes.io/metadata.name"


class NamespaceStrategy(Strategy):
    """Namespaces; ``finalize`` writes spec.finalizers alone."""

    tracks_generation = False
    name_kind = "label"
    selectable = ("status.phase",)

    def default(self, obj: Object) -> None:
        metadata = obj.setdefault("metadata", {})
        if name := metadata.get("name"):
            metadata.setdefault("labels", {})[NAME_LABEL] = name
        obj.setdefault("status", {}).setdefault("phase", "Active")

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["metadata"].setdefault("labels", {})[NAME_LABEL] = obj["metadata"]["name"]
        obj["status"] = {"phase": "Active"}
        finalizers = obj.setdefault("spec", {}).setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")

    def prepare_for_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        spec = new.setdefault("spec", {})
        spec.pop("finalizers", None)
        if before := (old.get("spec") or {}).get("finalizers"):
            spec["finalizers"] = before

    def prepare_for_subresource_update(self, ctx: WriteContext, new: Object, old: Object) -> None:
        if "status" in old:
            new["status"] = old["status"]

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        for one in (obj.get("spec") or {}).get("finalizers") or ():
            names.finalizer(errors, Path("spec").child("finalizers"), one)
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        phase = (new.get("status") or {}).get("phase", "")
        terminating = bool(new["metadata"].get("deletionTimestamp"))
        wanted, state = ("Terminating", "not empty") if terminating else ("Active", "empty")
        if phase == wanted:
            return []
        return [field.invalid(_PHASE, phase, f"may only be '{wanted}' if `deletionTimestamp` is {state}")]

    def validate_subresource_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        for position, one in enumerate((new.get("spec") or {}).get("finalizers") or ()):
            names.finalizer(errors, Path("spec").child("finalizers").index(position), one)
        return errors

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {"status.phase": (obj.get("status") or {}).get("phase", "")}

    def reset_fields(self, subresource: str) -> FieldPaths:
        if subresource == "finalize":
            return (("status",),)
        return super().reset_fields(subresource)


class NodeStrategy(Strategy):
    """Nodes: a kubelet registers itself together with its status."""

    allow_unconditional_update = True
    tracks_generation = False
    selectable = ("spec.unschedulable",)

    def default(self, obj: Object) -> None:
        status = obj.get("status")
        if status and "capacity" in status and "allocatable" not in status:
            status["allocatable"] = dict(status["capacity"])
        _mirror_cidr(obj.setdefault("spec", {}))

    def validate(self, ctx: WriteContext, obj: Object) -> Errors:
        errors: Errors = []
        spec = obj["spec"]
        if "taints" in spec:
            scheduling.taints(errors, Path("metadata").child("taints"), spec["taints"])
        _resources(errors, obj)
        _pod_cidrs(errors, spec.get("podCIDRs") or [])
        return errors

    def validate_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        errors: Errors = []
        _resources(errors, new)
        _addresses(errors, new)
        after, before = new["spec"], old.get("spec") or {}
        cidrs, earlier = after.get("podCIDRs") or [], before.get("podCIDRs") or []
        if earlier:
            detail = 'node updates may not change podCIDR except from "" to valid'
            changed = 1 if len(cidrs) != len(earlier) else sum(a != b for a, b in zip(cidrs, earlier, strict=True))
            errors += [field.forbidden(_CIDRS, detail)] * changed
        provider = before.get("providerID")
        if provider and provider != after.get("providerID"):
            detail = 'node updates may not change providerID except from "" to valid'
            errors.append(field.forbidden(Path("spec").child("providerID"), detail))
        if "taints" in after:
            scheduling.taints(errors, Path("metadata").child("taints"), after["taints"])
        if after.get("externalID", "") != before.get("externalID", ""):
            errors.append(field.forbidden(Path("spec").child("externalID"), "may not be updated"))
        return errors

    def validate_status_update(self, ctx: WriteContext, new: Object, old: Object) -> Errors:
        return self.validate_update(ctx, new, old)

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return _node_warnings(obj)

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        return _node_warnings(new) if not ctx.subresource else []

    def selectable_fields(self, obj: Object) -> dict[str, str]:
        return {"spec.unschedulable": "true" if (obj.get("spec") or {}).get("unschedulable") else "false"}


def _mirror_cidr(spec: Object) -> None:
    single, several = spec.get("podCIDR"), spec.get("podCIDRs")
    if single and not several:
        spec["podCIDRs"] = [single]
    elif several and not single:
        spec["podCIDR"] = several[0]


def _resources(errors: Errors, node: Object) -> None:
    for kind in ("capacity", "allocatable"):
        for name, value in ((node.get("status") or {}).get(kind) or {}).items():
            quantity_value(errors, Path("status").child(kind, name), name, value)


def _addresses(errors: Errors, node: Object) -> None:
    seen: set[tuple[str, str]] = set()
    for position, one in enumerate((node.get("status") or {}).get("addresses") or ()):
        key = (one.get("type", ""), one.get("address", ""))
        if key in seen:
            where = Path("status").child("addresses").index(position)
            errors.append(field.duplicate(where, gotypes.internal("core.v1.NodeAddress", one)))
        seen.add(key)


def _pod_cidrs(errors: Errors, cidrs: list[str]) -> None:
    for position, text in enumerate(cidrs):
        addresses.valid_cidr(errors, _CIDRS.index(position), text)
    if len(cidrs) < 2:
        return
    if not addresses.dual_stack(cidrs) or len(cidrs) > 2:
        errors.append(field.invalid(_CIDRS, cidrs, "may specify no more than one CIDR for each IP family"))
    for position, text in enumerate(cidrs):
        if text in cidrs[:position]:
            errors.append(field.duplicate(_CIDRS.index(position), text))


def _node_warnings(node: Object) -> list[str]:
    found = []
    spec = node.get("spec") or {}
    if "configSource" in spec:
        found.append("spec.configSource: the spec.configSource field is deprecated in v1.22+ and will be ignored")
    if spec.get("externalID"):
        found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    key = "beta.kubernetes.io/instance-type"
    if key in (node["metadata"].get("labels") or ()):
        found.append(f"metadata.labels[{key}]: {deprecated_label(key)}")
    return found


class ServiceAccountStrategy(Strategy):
    """Service accounts."""

    has_status = False

    def warnings_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return self.warnings_on_update(ctx, obj, {})

    def warnings_on_update(self, ctx: WriteContext, new: Object, old: Object) -> list[str]:
        key = "kubernetes.io/enforce-mountable-secrets"
        if "secrets" not in new or key not in (new["metadata"].get("annotations") or {}):
            return []
        text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        return [f"metadata.annotations[{key}]: {text}"]
