"""Pure rules of persistent volumes and claims that binder, scheduler and kubelet share.

Behaviour: component-helpers, package storage/volume; the annotations are Kubernetes' own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.api import affinity, labels, quantity
from sampan.api.object import annotations_of, controller_of, labels_of, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from decimal import Decimal

    from sampan.api.object import Object

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
"""On a claim: it is bound for good; if its volume goes, its data is lost."""
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
"""On either: the other side was chosen by the controller, not by a user."""
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""On a claim: the node for which its volume is to be provisioned; the scheduler sets it."""
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
BETA_DEFAULT_CLASS = "storageclass.beta.kubernetes.io/is-default-class"
LOCAL_PATH = "sampan.io/local-path"
"""The built-in provisioner; on a Node, an annotation with the directory that it gives to volumes."""
LOCAL_PATH_NODE = "sampan.io/local-path-node"
"""Label of a provisioned volume: the node that keeps its data."""


def class_of(obj: Object) -> str:
    """The class of a volume or claim, "" for none."""
    annotations = annotations_of(obj)
    if BETA_CLASS in annotations:
        return annotations[BETA_CLASS]
    found: str = (obj.get("spec") or {}).get("storageClassName") or ""
    return found


def has_class(claim: Object) -> bool:
    """Whether a claim says which class it wants, be it none ("")."""
    return BETA_CLASS in annotations_of(claim) or (claim.get("spec") or {}).get("storageClassName") is not None


def is_default_class(storage_class: Object) -> bool:
    annotations = annotations_of(storage_class)
    return annotations.get(DEFAULT_CLASS) == "true" or annotations.get(BETA_DEFAULT_CLASS) == "true"


def is_delayed(storage_class: Object | None) -> bool:
    """Whether claims of a class wait for their first pod."""
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def is_fully_bound(claim: Object) -> bool:
    """Whether the binder is done with a claim."""
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in annotations_of(claim)


def is_bound_to(volume: Object, claim: Object) -> bool:
    """Whether a volume is bound, or meant by its maker, for a claim."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return False
    if (reference.get("name"), reference.get("namespace")) != (name_of(claim), namespace_of(claim)):
        return False
    return not reference.get("uid") or reference["uid"] == uid_of(claim)


def requested(claim: Object) -> str:
    """The storage that a claim asks for."""
    found: str = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0")
    return found


def capacity(volume: Object) -> str:
    found: str = (volume["spec"].get("capacity") or {}).get("storage", "0")
    return found


def volume_mode(obj: Object) -> str:
    return obj["spec"].get("volumeMode") or "Filesystem"


def reaches(volume: Object, node: Object) -> bool:
    """Whether a volume can be used on a node."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return required is None or affinity.node_selector_matches(required, node)


def mismatch(volume: Object, claim: Object) -> str:
    """Why a volume that a claim names cannot be its own, "" when it can."""
    if "deletionTimestamp" in volume["metadata"]:
        return "the volume is marked for deletion"
    if quantity.compare(capacity(volume), requested(claim)) < 0:
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    attributes = (one["spec"].get("volumeAttributesClassName") or "" for one in (volume, claim))
    if len(set(attributes)) > 1:
        return "volumeAttributesClassName does not match"
    if volume_mode(volume) != volume_mode(claim):
        return "incompatible volumeMode"
    if not _has_modes(volume, claim):
        return "incompatible accessMode"
    return ""


def best_match(
    claim: Object,
    volumes: Iterable[Object],
    *,
    node: Object | None = None,
    taken: Collection[str] = (),
    delayed: bool = False,
) -> Object | None:
    """Find a claim's volume: one made for it, else the smallest that suffices, of those with the fewest access modes.

    node: where it will be used. taken: names of volumes that others are about to get. delayed: without a node, only a
    volume made for the claim will do.
    """
    wanted = quantity.parse(requested(claim))
    selector = claim["spec"].get("selector")
    matches = None if selector is None else labels.from_object(selector)
    found: list[tuple[int, Decimal, str, Object]] = []
    for volume in volumes:
        if name_of(volume) in taken or not _is_candidate(volume, claim):
            continue
        size = quantity.parse(capacity(volume))
        if size < wanted or (node is not None and not reaches(volume, node)):
            continue
        if is_bound_to(volume, claim):
            return volume
        if (node is None and delayed) or (volume.get("status") or {}).get("phase") != "Available":
            continue
        if class_of(volume) == class_of(claim) and (matches is None or matches.matches(labels_of(volume))):
            modes = len(volume["spec"].get("accessModes") or ())
            found.append((modes, size, name_of(volume), volume))
    return min(found, key=lambda one: one[:3])[3] if found else None


def _is_candidate(volume: Object, claim: Object) -> bool:
    """Whether a volume is free for, or made for, a claim and can hold what it is for."""
    spec = volume["spec"]
    if spec.get("claimRef") and not is_bound_to(volume, claim):
        return False
    if volume_mode(volume) != volume_mode(claim) or "deletionTimestamp" in volume["metadata"]:
        return False
    if (spec.get("volumeAttributesClassName") or "") != (claim["spec"].get("volumeAttributesClassName") or ""):
        return False
    return _has_modes(volume, claim)


def _has_modes(volume: Object, claim: Object) -> bool:
    return set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ())


def claim_names(pod: Object) -> Iterator[tuple[str, bool]]:
    """The claims of a pod's volumes; True for those of ephemeral volumes."""
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"], False
        elif "ephemeral" in volume:
            yield f"{name_of(pod)}-{volume['name']}", True


def is_ephemeral_claim_of(claim: Object, pod: Object) -> bool:
    """Whether a claim was made for a pod's ephemeral volume."""
    owner = controller_of(claim)
    return owner is not None and owner["uid"] == uid_of(pod)
