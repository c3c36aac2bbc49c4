"""Updates of pods: all but a handful of fields is fixed once the pod exists (``ValidatePodUpdate``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.api import field
from sampan.api.field import Path
from sampan.apiserver.registry.core.podspec import scheduling
from sampan.apiserver.registry.validation import gotypes
from sampan.apiserver.registry.validation.numbers import MAX_INT32, in_range

if TYPE_CHECKING:
    from sampan.api.object import Object
    from sampan.apiserver.registry.validation.names import Errors

_UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def spec_update(errors: Errors, new: Object, old: Object) -> None:
    """new, old: the specs."""
    path = Path("spec")
    for kind in ("containers", "initContainers"):
        if not _images(errors, path.child(kind), new.get(kind) or [], old.get(kind) or []):
            return
    if not _deadline(errors, path.child("activeDeadlineSeconds"), new, old):
        return
    _only_added_tolerations(errors, path.child("tolerations"), new, old)
    _only_removed_gates(errors, path.child("schedulingGates"), new, old)
    if new == old:
        return
    munged = _with_mutable_fields_of(new, old)
    if old.get("schedulingGates"):
        munged = _gated(errors, path, munged, old)
    if munged != old:
        changes = gotypes.difference("core.v1.PodSpec", old, munged)
        errors.append(field.forbidden(path, f"pod updates may not change fields other than {_UPDATABLE}\n{changes}"))


def _images(errors: Errors, path: Path, new: list[Object], old: list[Object]) -> bool:
    if len(new) != len(old):
        errors.append(field.forbidden(path, "pod updates may not add or remove containers"))
        return False
    for position, container in enumerate(new):
        image = container.get("image", "")
        if not image:
            errors.append(field.required(path.index(position).child("image")))
        if image.strip() != image:
            detail = "must not have leading or trailing whitespace"
            errors.append(field.invalid(path.index(position).child("image"), image, detail))
    return True


def _deadline(errors: Errors, path: Path, new: Object, old: Object) -> bool:
    after, before = new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if after is None:
        if before is not None:
            errors.append(field.invalid(path, None, "must not update from a positive integer to nil value"))
        return True
    if not 0 <= after <= MAX_INT32:
        errors.append(field.invalid(path, after, in_range(0, MAX_INT32)))
        return False
    if before is not None and before < after:
        errors.append(field.invalid(path, after, "must be less than or equal to previous value"))
        return False
    return True


def _untimed(toleration: Object) -> Object:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _only_added_tolerations(errors: Errors, path: Path, new: Object, old: Object) -> None:
    after, before = new.get("tolerations") or [], old.get("tolerations") or []
    if after == before:
        # Unchanged ones are checked all the same, as part of every update.
        scheduling.tolerations(errors, path, after)
        return
    present = [_untimed(one) for one in after]
    if any(_untimed(one) not in present for one in before):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        errors.append(field.forbidden(path, detail))
        return
    scheduling.tolerations(errors, path, after)


def _only_removed_gates(errors: Errors, path: Path, new: Object, old: Object) -> None:
    before = {one.get("name", "") for one in old.get("schedulingGates") or ()}
    for position, gate in enumerate(new.get("schedulingGates") or ()):
        name = gate.get("name", "")
        if name not in before:
            detail = f"only deletion is allowed, but found new scheduling gate '{name}'"
            errors.append(field.forbidden(path.index(position).child("name"), detail))


def _put_back(target: Object, old: Object, *keys: str) -> None:
    for key in keys:
        if key in old:
            target[key] = old[key]
        else:
            target.pop(key, None)


def _with_mutable_fields_of(new: Object, old: Object) -> Object:
    munged = dict(new)
    for kind in ("containers", "initContainers"):
        if kind in new:
            munged[kind] = [
                {**container, "image": before.get("image", "")}
                for container, before in zip(new[kind] or (), old.get(kind) or (), strict=True)
            ]
    _put_back(munged, old, "activeDeadlineSeconds", "schedulingGates", "tolerations")
    before = old.get("terminationGracePeriodSeconds")
    if before is not None and before < 0 and munged.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = before
    return munged


def _gated(errors: Errors, path: Path, munged: Object, old: Object) -> Object:
    """While gates hold a pod back from scheduling, where it may go can still be narrowed."""
    if munged.get("nodeSelector") != old.get("nodeSelector"):
        after, before = munged.get("nodeSelector") or {}, old.get("nodeSelector") or {}
        if any(after.get(key) != value for key, value in before.items()):
            detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            errors.append(field.invalid(path.child("nodeSelector"), munged.get("nodeSelector"), detail))
        _put_back(munged, old, "nodeSelector")
    before_affinity, after_affinity = old.get("affinity"), munged.get("affinity")
    old_node = (before_affinity or {}).get("nodeAffinity")
    new_node = (after_affinity or {}).get("nodeAffinity")
    if old_node == new_node:
        return munged
    _node_affinity(errors, path.child("affinity", "nodeAffinity"), new_node, old_node)
    if after_affinity is None:
        munged["affinity"] = {"nodeAffinity": old_node}
    elif before_affinity is None and after_affinity.keys() == {"nodeAffinity"}:
        del munged["affinity"]
    else:
        munged["affinity"] = dict(after_affinity)
        _put_back(munged["affinity"], before_affinity or {}, "nodeAffinity")
    return munged


def _node_affinity(errors: Errors, path: Path, new: Object | None, old: Object | None) -> None:
    if old is None or _REQUIRED not in old:
        return
    before: list[Any] = old[_REQUIRED].get("nodeSelectorTerms") or []
    after: list[Any] = ((new or {}).get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    here = path.child(_REQUIRED, "nodeSelectorTerms")
    if before and len(before) != len(after):
        shown = gotypes.internal("[]core.v1.NodeSelectorTerm", after or None)
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        errors.append(field.invalid(here, shown, detail))
        return
    for position, (old_term, new_term) in enumerate(zip(before, after, strict=False)):
        if not _only_additions(new_term, old_term):
            shown = gotypes.internal("core.v1.NodeSelectorTerm", new_term)
            detail = "only additions are allowed (no mutations or deletions)"
            errors.append(field.invalid(here.index(position), shown, detail))


def _only_additions(new: Object, old: Object) -> bool:
    kinds = ("matchExpressions", "matchFields")
    if not any(old.get(kind) for kind in kinds) and any(new.get(kind) for kind in kinds):
        return False
    return all((new.get(kind) or [])[: len(old[kind])] == old[kind] for kind in kinds if old.get(kind))
