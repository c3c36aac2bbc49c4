"""The identity of a StatefulSet's pods: name, host name, claims; how a pod of a revision looks. Pure functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.api.object import name_of, namespace_of, uid_of
from sampan.client.item import copy_object
from sampan.controllers.podcontrol import controller_reference, pod_from_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.api.object import Object

POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
REVISION_LABEL = "controller-revision-hash"
_NAME = re.compile(r"(.*)-([0-9]+)\Z", re.DOTALL)


def ordinal_of(owner: Object, pod_name: str) -> int | None:
    """A pod's ordinal; None when its name is not one of the set's."""
    match = _NAME.match(pod_name)
    return int(match[2]) if match and match[1] == name_of(owner) else None


def start_ordinal(owner: Object) -> int:
    """The ordinal of the first pod."""
    start: int = (owner["spec"].get("ordinals") or {}).get("start", 0)
    return start


def revision_of(pod: Object) -> str:
    """The name of the revision that a pod was made from."""
    name: str = (pod["metadata"].get("labels") or {}).get(REVISION_LABEL, "")
    return name


def claim_name(owner: Object, template: Object, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{name_of(owner)}-{ordinal}"


def claims_of(owner: Object, ordinal: int) -> Mapping[str, Object]:
    """The claims of one pod, by the name of their volume."""
    found = {}
    for template in owner["spec"].get("volumeClaimTemplates") or ():
        claim = copy_object(template)
        labels = {**(claim["metadata"].get("labels") or {}), **(owner["spec"]["selector"].get("matchLabels") or {})}
        claim["metadata"].update(
            name=claim_name(owner, template, ordinal), namespace=namespace_of(owner), labels=labels
        )
        claim.update(apiVersion="v1", kind="PersistentVolumeClaim")
        claim.pop("status", None)
        found[template["metadata"]["name"]] = claim
    return found


def make_pod(owner: Object, template: Object, revision: str, ordinal: int) -> Object:
    """Build the pod of an ordinal from a revision's template."""
    name = f"{name_of(owner)}-{ordinal}"
    pod = pod_from_template(owner, template, controller_reference(owner, "apps/v1", "StatefulSet"), name=name)
    set_identity(owner, pod, ordinal)
    set_storage(owner, pod, ordinal)
    spec = pod["spec"]
    spec["hostname"] = name
    if owner["spec"].get("serviceName"):
        spec["subdomain"] = owner["spec"]["serviceName"]
    pod["metadata"]["labels"][REVISION_LABEL] = revision
    return pod


def set_identity(owner: Object, pod: Object, ordinal: int) -> None:
    """Set the labels that tell a pod's place."""
    labels = pod["metadata"].setdefault("labels", {})
    labels[POD_NAME_LABEL] = f"{name_of(owner)}-{ordinal}"
    labels[POD_INDEX_LABEL] = str(ordinal)


def set_storage(owner: Object, pod: Object, ordinal: int) -> None:
    """Point the volumes of claim templates to the pod's own claims."""
    claims = claims_of(owner, ordinal)
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name_of(claim)}} for name, claim in claims.items()]
    others = [one for one in pod["spec"].get("volumes") or () if one["name"] not in claims]
    if volumes or others:
        pod["spec"]["volumes"] = [*volumes, *others]


def has_identity(owner: Object, pod: Object, ordinal: int) -> bool:
    """Whether a pod's labels and volumes are those of its ordinal."""
    labels = pod["metadata"].get("labels") or {}
    if labels.get(POD_NAME_LABEL) != f"{name_of(owner)}-{ordinal}" or labels.get(POD_INDEX_LABEL) != str(ordinal):
        return False
    volumes = {one["name"]: one for one in pod["spec"].get("volumes") or ()}
    for name, claim in claims_of(owner, ordinal).items():
        source = volumes.get(name, {}).get("persistentVolumeClaim") or {}
        if source.get("claimName") != name_of(claim):
            return False
    return True


def claim_owners(owner: Object, pod: Object, claim: Object, *, condemned: bool) -> list[Object] | None:
    """The ownerReferences that a claim is to have by the retention policy; None when it has them already.

    Deleted with the set: owned by the set. Deleted on scale-down: owned by its pod while the pod is condemned.
    """
    policy = owner["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    current = list(claim["metadata"].get("ownerReferences") or ())
    by_set = policy.get("whenDeleted") == "Delete" and not (condemned and policy.get("whenScaled") == "Delete")
    by_pod = condemned and policy.get("whenScaled") == "Delete"
    uids = {uid_of(owner), uid_of(pod)}
    kept = [
        one for one in current if one["uid"] not in uids and not (one["kind"] == "Pod" and one["name"] == name_of(pod))
    ]
    if by_set:
        kept.append(_reference("apps/v1", "StatefulSet", owner))
    if by_pod:
        kept.append(_reference("v1", "Pod", pod))
    same = {one["uid"] for one in kept} == {one["uid"] for one in current}
    return None if same else kept


def _reference(api_version: str, kind: str, obj: Object) -> Object:
    return controller_reference(obj, api_version, kind)
